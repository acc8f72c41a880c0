"""Files, pipes and signals: results are written whole or not at all, and an interrupt loses nothing."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import RELU, answer, refused

from spectra.cli import main
from spectra.files import check_writable, write_whole


def test_permissions_and_links_are_kept(tmp_path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    write_whole({link: b"new"})
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_failure_between_two_files_leaves_both_as_they_were(tmp_path) -> None:
    first = tmp_path / "first"
    first.write_text("old")
    with pytest.raises(OSError, match="no-such-folder"):
        write_whole({first: b"new", tmp_path / "no-such-folder" / "second": b"new"})
    assert first.read_text() == "old"
    assert os.listdir(tmp_path) == ["first"]


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs /dev/fd")
def test_a_pipe_is_written_to_directly() -> None:
    reader, writer = os.pipe()
    path = f"/dev/fd/{writer}"
    check_writable(path)
    write_whole({path: b"new"})
    os.close(writer)
    with open(reader, "rb") as stream:
        assert stream.read() == b"new"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_a_refused_file_is_named_as_it_was_given(net, capsys) -> None:
    # /proc takes no files, whoever asks.
    assert main(["predict", net(), "--json", "/proc/x.json"]) == 2
    error = capsys.readouterr().err
    assert "/proc/x.json:" in error
    assert ".part" not in error


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_interruption_ends_with_130_and_one_line(net) -> None:
    # Sampling interrupts itself, so that nothing depends on how fast the machine is.
    code = """if True:
        import os, signal, sys, time
        import spectra.sampling
        from spectra.cli import main
        spectra.sampling.sample = lambda *_, **__: [os.kill(os.getpid(), signal.SIGINT), time.sleep(60)]
        sys.argv[1:] = ["check", "net.toml", "--width", "30", "--json", "out.json"]
        sys.exit(main())
    """
    net()
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=50, check=False, env=os.environ | {"PYTHONPATH": str(root)}
    )
    assert result.returncode == 130
    assert result.stdout == ""
    assert result.stderr == "spectra: interrupted; nothing was written\n"
    assert os.listdir() == ["net.toml"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_interruption_while_sampling_does_not_wait_for_the_matrices(net) -> None:
    # Ctrl-C from the progress of the first network; each of the others would be busy for seconds.
    code = """if True:
        import os, signal, sys
        import numpy as np
        import spectra.sampling.graded
        from spectra.cli import main
        slow = np.linalg.qr
        sent = []
        def interrupted(*args, **keys):
            import time
            # Once, whichever thread comes first.
            sent.append(1)
            if len(sent) == 1:
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(120)
        np.linalg.qr = interrupted
        sys.argv[1:] = ["check", "net.toml", "--width", "30", "--json", "out.json"]
        sys.exit(main())
    """
    net()
    root = Path(__file__).resolve().parent.parent
    command, environment = [sys.executable, "-c", code], os.environ | {"PYTHONPATH": str(root)}
    result = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, env=environment)
    assert result.returncode == 130
    assert result.stderr == "spectra: interrupted; nothing was written\n"
    assert os.listdir() == ["net.toml"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_interruption_while_modules_are_loaded_ends_with_130(net) -> None:
    code = """if True:
        import builtins, sys
        from spectra.cli import main
        def interrupted(*_, **__):
            raise KeyboardInterrupt
        builtins.__import__ = interrupted
        sys.exit(main())
    """
    root = Path(__file__).resolve().parent.parent
    command, environment = [sys.executable, "-c", code], os.environ | {"PYTHONPATH": str(root)}
    result = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, env=environment)
    assert (result.returncode, result.stderr) == (130, "spectra: interrupted; nothing was written\n")


def test_closed_standard_output_is_one_line_and_no_traceback(net, capsys, monkeypatch) -> None:
    config = net()
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["predict", config, "--json", "-"]) == 2
    assert "standard output is closed" in capsys.readouterr().err


def test_a_full_device_is_named(net, capsys) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no such device")
    assert "/dev/full" in refused(capsys, "predict", net(), "--json", "/dev/full")
    assert "--json" in refused(capsys, "predict", net(), "--json", "")


def test_files_are_written_and_nothing_else_is(net, capsys) -> None:
    assert main(["predict", net(), "--json", "out.json", "--plot", "out.png"]) == 0
    assert Path("out.png").read_bytes()[:4] == b"\x89PNG"
    json.loads(Path("out.json").read_text())
    assert sorted(os.listdir()) == ["net.toml", "out.json", "out.png"]


@pytest.mark.parametrize(("name", "start"), [("a.pdf", b"%PDF"), ("a.svg", b"<?xml"), ("a.PNG", b"\x89PNG")])
def test_figures_come_in_three_formats(net, name: str, start: bytes) -> None:
    assert main(["predict", net(RELU), "--plot", name]) == 0
    assert Path(name).read_bytes().startswith(start)


@pytest.mark.parametrize("arguments", [["predict", "{net}"], ["check", "{net}", "--width", "30", "--samples", "4"]])
def test_a_reader_that_goes_away_is_no_verdict(net, arguments) -> None:
    """As `spectra check … | head -1`: status 1 would mean that samples disagree."""
    process = subprocess.Popen(
        [sys.executable, "-m", "spectra", *(a.format(net=net(RELU)) for a in arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate()
    assert process.returncode == 141
    assert "Traceback" not in errors


def test_interruption_in_the_midst_of_an_import_is_one(monkeypatch, capsys) -> None:
    """Libraries that are being loaded may make an error of their own of Ctrl-C."""

    def run(_: object) -> int:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise RuntimeError("while loading") from error

    monkeypatch.setattr("spectra.cli.app.run", run)
    assert main([]) == 130
    assert capsys.readouterr().err == "spectra: interrupted; nothing was written\n"


@pytest.mark.parametrize(("depth", "known"), [(1000, 0), (500, 1)])
def test_what_is_below_the_range_of_doubles_is_null_and_said(capsys, tmp_path: Path, depth: int, known: int) -> None:
    # χ = 0.2437: m_1 = χ^L ≈ 1e-613 and 1e-307, m_2 below all doubles in both.
    config = tmp_path / "vanishing.toml"
    config.write_text(f'depth = {depth}\nactivation = "tanh"\nsigma_w = 0.5\nsigma_b = 0.1\n')
    record = answer(capsys, "predict", str(config))
    moments, notes = record["jacobian"]["moments"], record["checks"]["notes"]
    assert [m is not None for m in moments] == [True] * known + [False] * (6 - known)
    assert record["jacobian"]["variance"] is None
    assert record["density"]["lambda"] == []
    assert any("`density` has no points" in note for note in notes)
    assert any("`jacobian.moments` is null" in note for note in notes)
