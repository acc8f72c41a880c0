/* Equations as Python sees them: what they are made of is kept alive with them. */

#include "calls.h"

#include <string.h>

#define EQUATION "_spectra_native.equation"

typedef struct {
    Equation equation;
    Py_buffer *views;
    PyObject *tables;
    Py_ssize_t held;
} Held;

static void release(Held *held)
{
    for (Py_ssize_t i = 0; i < held->held; i++)
        PyBuffer_Release(&held->views[i]);
    PyMem_Free(held->views);
    for (Py_ssize_t k = 0; held->equation.factor != NULL && k < held->equation.factors; k++)
        free_cut(held->equation.factor[k].cut);
    PyMem_Free((void *)held->equation.factor);
    Py_XDECREF(held->tables);
    PyMem_Free(held);
}

static void destroy(PyObject *capsule)
{
    release(PyCapsule_GetPointer(capsule, EQUATION));
}

static int take_view(Held *held, PyObject *array, Py_buffer **view)
{
    *view = &held->views[held->held];
    if (view_of(array, *view, "d", -1, 0) < 0)
        return -1;
    held->held++;
    return 0;
}

/* (table, count, omega, gap, largest, smallest, narrow, continuous, poles, ends of cuts) */
static int take_factor(Held *held, PyObject *row, Factor *factor)
{
    PyObject *table, *poles, *cuts;
    Py_buffer *view;
    if (expect_tuple(row) < 0 ||
        !PyArg_ParseTuple(row, "OdddddppOO", &table, &factor->count, &factor->omega, &factor->gap, &factor->largest,
                          &factor->smallest, &factor->narrow, &factor->continuous, &poles, &cuts))
        return -1;
    if ((factor->table = table_of(table)) == NULL || PyList_Append(held->tables, table) < 0 ||
        take_view(held, poles, &view) < 0)
        return -1;
    factor->pole = view->buf;
    factor->poles = view->len / (Py_ssize_t)sizeof(double);
    if (take_view(held, cuts, &view) < 0)
        return -1;
    factor->end = view->buf;
    factor->ends = view->len / (Py_ssize_t)sizeof(double);
    return 0;
}

PyObject *py_equation(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *d, *e, *factors;
    Py_buffer *view;
    double constant;
    if (!PyArg_ParseTuple(args, "dOOO!", &constant, &d, &e, &PyTuple_Type, &factors))
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(factors);
    if (count > MOST_FACTORS)
        return PyErr_Format(PyExc_ValueError, "at most %d factors", MOST_FACTORS);
    Held *held = PyMem_Calloc(1, sizeof(Held));
    if (held == NULL)
        return PyErr_NoMemory();
    Factor *rows = PyMem_Calloc(count + 1, sizeof(Factor));
    held->views = PyMem_Calloc(2 * count + 2, sizeof(Py_buffer));
    held->tables = PyList_New(0);
    held->equation.factor = rows;
    held->equation.constant = constant;
    held->equation.factors = count;
    int wrong = rows == NULL || held->views == NULL || held->tables == NULL;
    if (wrong && !PyErr_Occurred())
        PyErr_NoMemory();
    if (!wrong && !(wrong = take_view(held, d, &view) < 0)) {
        held->equation.d = view->buf;
        held->equation.terms = view->len / (Py_ssize_t)sizeof(double);
    }
    if (!wrong && !(wrong = take_view(held, e, &view) < 0)) {
        held->equation.e = view->buf;
        if (view->len != held->equation.terms * (Py_ssize_t)sizeof(double)) {
            PyErr_SetString(PyExc_ValueError, "d and e have the same number of terms");
            wrong = 1;
        }
    }
    for (Py_ssize_t k = 0; k < count && !wrong; k++)
        wrong = take_factor(held, PyTuple_GET_ITEM(factors, k), &rows[k]) < 0;
    PyObject *capsule = wrong ? NULL : PyCapsule_New(held, EQUATION, destroy);
    if (capsule == NULL)
        release(held);
    return capsule;
}

/* cut(equation, k, tables): what the density of law k is, roughly; `tables` is a list of arrays (3, n). */
CALL(py_cut)
{
    const Equation *equation;
    if (expect(nargs, 3, "cut(equation, k, tables)") < 0 || (equation = equation_of(args[0])) == NULL)
        return NULL;
    Py_ssize_t k = PyLong_AsSsize_t(args[1]);
    if (PyErr_Occurred())
        return NULL;
    if (k < 0 || k >= equation->factors || !PyList_Check(args[2]))
        return PyErr_Format(PyExc_ValueError, "there is no factor %zd, or no list of tables", k);
    Py_ssize_t parts = PyList_GET_SIZE(args[2]);
    Cut *cut = make_cut(parts);
    if (cut == NULL)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < parts; i++) {
        Py_buffer view;
        if (view_of(PyList_GET_ITEM(args[2], i), &view, "d", -1, 0) < 0)
            break;
        Py_ssize_t row = 3 * (Py_ssize_t)sizeof(double);
        double *rows = view.len % row ? NULL : make_part(&cut->part[i], view.len / row);
        if (view.len % row)
            PyErr_SetString(PyExc_ValueError, "a table has three rows");
        else if (rows != NULL)
            memcpy(rows, view.buf, 3 * cut->part[i].size * sizeof(double));
        else
            PyErr_NoMemory();
        PyBuffer_Release(&view);
    }
    Factor *factor = (Factor *)&equation->factor[k];
    free_cut(factor->cut);
    factor->cut = PyErr_Occurred() ? (free_cut(cut), NULL) : cut;
    return none();
}

const Equation *equation_of(PyObject *capsule)
{
    Held *held = PyCapsule_GetPointer(capsule, EQUATION);
    return held == NULL ? NULL : &held->equation;
}
