/* Equations as Python sees them: what they are made of is kept alive with them. */

#include "calls.h"

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

/* (table, count, omega, largest, smallest, narrow, continuous, poles) */
static int take_factor(Held *held, PyObject *row, Factor *factor)
{
    PyObject *table, *poles;
    Py_buffer *view;
    if (!PyArg_ParseTuple(row, "OddddppO", &table, &factor->count, &factor->omega, &factor->largest, &factor->smallest,
                          &factor->narrow, &factor->continuous, &poles))
        return -1;
    if ((factor->table = table_of(table)) == NULL || PyList_Append(held->tables, table) < 0 ||
        take_view(held, poles, &view) < 0)
        return -1;
    factor->pole = view->buf;
    factor->poles = view->len / (Py_ssize_t)sizeof(double);
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
    held->views = PyMem_Calloc(count + 2, sizeof(Py_buffer));
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

const Equation *equation_of(PyObject *capsule)
{
    Held *held = PyCapsule_GetPointer(capsule, EQUATION);
    return held == NULL ? NULL : &held->equation;
}
