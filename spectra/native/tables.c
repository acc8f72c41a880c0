/* Tables of nodes as Python sees them. */

#include "calls.h"

#define TABLE "_spectra_native.table"

static void destroy_table(PyObject *capsule)
{
    Table *table = PyCapsule_GetPointer(capsule, TABLE);
    free_table(table);
    PyMem_Free(table);
}

/* table(t, w): nodes in order of |t|, a multiple of eight of them, and their weights. */
/* Whether |t| is finite and does not fall, but for rounding. */
static int is_rising(const double complex *t, Py_ssize_t size)
{
    double most = 0.0;
    for (Py_ssize_t j = 0; j < size; j++) {
        double here = cabs(t[j]);
        /* Written so that NaN fails, too. */
        if (!(here >= most * (1.0 - 1e-12) && isfinite(here)))
            return 0;
        most = fmax(most, here);
    }
    return 1;
}

CALL(py_table)
{
    Py_buffer t, w;
    PyObject *capsule = NULL;
    if (expect(nargs, 2, "table(t, w)") < 0 || view_of(args[0], &t, "Zd", -1, 0) < 0)
        return NULL;
    Py_ssize_t size = t.len / (Py_ssize_t)sizeof(double complex);
    if (view_of(args[1], &w, "Zd", size, 0) == 0) {
        Table *table = PyMem_Calloc(1, sizeof(Table));
        if (size % LANES != 0 || size == 0)
            PyErr_SetString(PyExc_ValueError, "the number of nodes is a multiple of eight");
        else if (!(cabs(((double complex *)t.buf)[0]) > 0.0))
            PyErr_SetString(PyExc_ValueError, "no node is zero");
        else if (!is_rising(t.buf, size))
            PyErr_SetString(PyExc_ValueError, "the nodes come in order of |t|, all of them finite");
        else if (table == NULL || make_table(table, t.buf, w.buf, size / LANES * LANES) < 0)
            PyErr_NoMemory();
        else
            capsule = PyCapsule_New(table, TABLE, destroy_table);
        if (capsule == NULL && table != NULL) {
            free_table(table);
            PyMem_Free(table);
        }
        PyBuffer_Release(&w);
    }
    PyBuffer_Release(&t);
    return capsule;
}

const Table *table_of(PyObject *capsule)
{
    return PyCapsule_GetPointer(capsule, TABLE);
}

/* sums(table, v, order, out): rows of `out` (n, 3 + order). */
CALL(py_sums)
{
    Py_buffer v, out;
    const Table *table;
    if (expect(nargs, 4, "sums(table, v, order, out)") < 0 || (table = table_of(args[0])) == NULL)
        return NULL;
    long order = PyLong_AsLong(args[2]);
    if (PyErr_Occurred())
        return NULL;
    if (order < 0 || order > 2) {
        PyErr_SetString(PyExc_ValueError, "order is 0, 1 or 2");
        return NULL;
    }
    if (view_of(args[1], &v, "Zd", -1, 0) < 0)
        return NULL;
    Py_ssize_t size = v.len / (Py_ssize_t)sizeof(double complex);
    if (view_of(args[3], &out, "Zd", size * (3 + order), 1) == 0) {
        for (Py_ssize_t i = 0; i < size; i++)
            node_sums(table, ((double complex *)v.buf)[i], (int)order, (double complex *)out.buf + i * (3 + order));
        PyBuffer_Release(&out);
    }
    PyBuffer_Release(&v);
    return none();
}

/* difference(table, a, v, out) */
CALL(py_difference)
{
    Py_buffer a, v, out;
    const Table *table;
    if (expect(nargs, 4, "difference(table, a, v, out)") < 0 || (table = table_of(args[0])) == NULL ||
        view_of(args[1], &a, "d", -1, 0) < 0)
        return NULL;
    Py_ssize_t size = a.len / (Py_ssize_t)sizeof(double);
    if (view_of(args[2], &v, "Zd", size, 0) == 0) {
        if (view_of(args[3], &out, "Zd", size, 1) == 0) {
            for (Py_ssize_t i = 0; i < size; i++)
                ((double complex *)out.buf)[i] =
                    divided_difference(table, ((double *)a.buf)[i], ((double complex *)v.buf)[i]);
            PyBuffer_Release(&out);
        }
        PyBuffer_Release(&v);
    }
    PyBuffer_Release(&a);
    return none();
}
