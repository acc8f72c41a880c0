/* The module that Python loads. */

#include "calls.h"

#include <string.h>

/* Raised whenever a table, an argument or a result changes. */
#define VERSION 14

int view_of(PyObject *array, Py_buffer *view, const char *format, Py_ssize_t size, int writable)
{
    int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(array, view, flags) < 0)
        return -1;
    if (view->format == NULL || strcmp(view->format, format) != 0)
        PyErr_Format(PyExc_TypeError, "an array of format '%s' is needed, not '%s'", format, view->format);
    else if (size >= 0 && view->len != size * view->itemsize)
        PyErr_Format(PyExc_ValueError, "an array of %zd items is needed, not %zd", size, view->len / view->itemsize);
    else
        return 0;
    PyBuffer_Release(view);
    return -1;
}

int expect(Py_ssize_t nargs, Py_ssize_t count, const char *call)
{
    if (nargs == count)
        return 0;
    PyErr_SetString(PyExc_TypeError, call);
    return -1;
}

#define FAST(name) (PyCFunction)(void (*)(void)) name, METH_FASTCALL

static PyMethodDef methods[] = {
    {"table", FAST(py_table), "table(t, w)"},
    {"sums", FAST(py_sums), "sums(table, v, order, out)"},
    {"difference", FAST(py_difference), "difference(table, a, v, out)"},
    {"equation", py_equation, METH_VARARGS, "equation(constant, d, e, factors)"},
    {"cut", FAST(py_cut), "cut(equation, k, tables)"},
    {"spot", FAST(py_spot), "spot(equation, zeta, v, jumps, target)"},
    {"follow", FAST(py_follow), "follow(equation, target, zeta, v, tolerance, certified)"},
    {"march", FAST(py_march), "march(equation, log_u, zeta, v, step, fading, pace, resolved, out)"},
    {"stride", FAST(py_stride), "stride(equation, zeta, v, length, most)"},
    {"critical", FAST(py_critical), "critical(equation, logarithmic, zeta, v)"},
    {"project", FAST(py_project), "project(equation, zeta, v)"},
    {"evaluate", FAST(py_evaluate), "evaluate(equation, zeta, v, jumps, rough, curvature, out, state)"},
    {"improve", FAST(py_improve), "improve(equation, zeta, v, jumps, rough, target, size, new_zeta, new_v, state)"},
    {"solve", FAST(py_solve), "solve(equation, target, zeta, v, jumps, residual, state, limits)"},
    {"local", FAST(py_local), "local(equation, mass, s, epsilon, out, state)"},
    {"locate", FAST(py_locate), "locate(equation, how, mass, log_distance, at, s, epsilon, power, residual, state)"},
    {"explicit", FAST(py_explicit), "explicit(constant, d, e, target, zeta, residual, limits)"},
    {"guess", FAST(py_guess), "guess(s, table, slopes, turns, at, out)"},
    {"invert", FAST(py_invert), "invert(x, height, rate, goal, out)"},
    {"joined", FAST(py_joined), "joined(table, (begin, end, last, stop), limit, share, out, alone)"},
    {"panels", FAST(py_panels), "panels(x, height, rate, side, begin, stop, nodes, weights)"},
    {"clenshaw", FAST(py_clenshaw), "clenshaw(series, terms, piece, x, out)"},
    {"scale_rows", FAST(py_scale_rows), "scale_rows(matrix, factors)"},
    {"sizes", FAST(py_sizes), "sizes(matrix, squares, largest)"},
    {"scaled_triangle", FAST(py_scaled_triangle), "scaled_triangle(matrix, rows, columns, out)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_spectra_native", "Sums over nodes, the master equation, passes over matrices.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__spectra_native(void)
{
    PyObject *self = PyModule_Create(&module);
    if (self != NULL && PyModule_AddIntConstant(self, "VERSION", VERSION) < 0)
        Py_CLEAR(self);
    return self;
}
