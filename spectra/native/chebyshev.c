/* Chebyshev series on pieces, at many points. */

#include "calls.h"

/* Points at a time: one alone would wait for each of its sums. */
#define TOGETHER 8

/* Σ c_j T_j(x) by Clenshaw's recurrence, c the row `piece[i]` of `series`, of `terms` numbers. */
static void sum_up(const double *series, Py_ssize_t terms, const long *piece, const double *x, Py_ssize_t size,
                   double *out)
{
    for (Py_ssize_t begin = 0; begin < size; begin += TOGETHER) {
        Py_ssize_t count = size - begin < TOGETHER ? size - begin : TOGETHER;
        const double *row[TOGETHER];
        double at[TOGETHER], here[TOGETHER], after[TOGETHER];
        for (Py_ssize_t i = 0; i < TOGETHER; i++) {
            /* What is beyond the last point repeats it. */
            Py_ssize_t k = begin + (i < count ? i : count - 1);
            row[i] = series + piece[k] * terms;
            at[i] = x[k], here[i] = row[i][terms - 1], after[i] = 0.0;
        }
        for (Py_ssize_t j = terms - 2; j > 0; j--)
            for (int i = 0; i < TOGETHER; i++) {
                double new = 2.0 * at[i] * here[i] - after[i] + row[i][j];
                after[i] = here[i], here[i] = new;
            }
        for (Py_ssize_t i = 0; i < count; i++)
            out[begin + i] = at[i] * here[i] - after[i] + row[i][0];
    }
}

/* clenshaw(series, terms, piece, x, out): at x (n,), on rows `piece` (n,) of `series` (P, terms), into `out` (n,). */
CALL(py_clenshaw)
{
    static const char *const formats[4] = {"d", "l", "d", "d"};
    Py_buffer view[4];
    if (expect(nargs, 5, "clenshaw(series, terms, piece, x, out)") < 0)
        return NULL;
    Py_ssize_t terms = PyLong_AsSsize_t(args[1]), size = -1;
    if (PyErr_Occurred())
        return NULL;
    int held = 0;
    for (; held < 4; held++) {
        if (view_of(args[held ? held + 1 : 0], &view[held], formats[held], held > 1 ? size : -1, held == 3) < 0)
            break;
        size = view[held].len / view[held].itemsize;
    }
    if (held == 4) {
        Py_ssize_t rows = terms > 1 ? view[0].len / view[0].itemsize / terms : 0;
        const long *piece = view[1].buf;
        int inside = 1;
        for (Py_ssize_t i = 0; i < size; i++)
            inside = inside && piece[i] >= 0 && piece[i] < rows;
        if (inside)
            sum_up(view[0].buf, terms, piece, view[2].buf, size, view[3].buf);
        else
            PyErr_SetString(PyExc_IndexError, "there is no such row, or a row of less than two terms");
    }
    while (held-- > 0)
        PyBuffer_Release(&view[held]);
    return none();
}
