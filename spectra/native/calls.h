/* What the files that Python calls share. */

#ifndef SPECTRA_CALLS_H
#define SPECTRA_CALLS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "newton.h"

/* The signature of a function with METH_FASTCALL. */
#define CALL(name) PyObject *name(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs)

CALL(py_table);
CALL(py_sums);
CALL(py_difference);
PyObject *py_equation(PyObject *self, PyObject *args);
CALL(py_cut);
CALL(py_spot);
CALL(py_follow);
CALL(py_march);
CALL(py_stride);
CALL(py_project);
CALL(py_critical);
CALL(py_evaluate);
CALL(py_improve);
CALL(py_solve);
CALL(py_local);
CALL(py_locate);
CALL(py_explicit);
CALL(py_guess);
CALL(py_invert);
CALL(py_joined);
CALL(py_panels);
CALL(py_clenshaw);
CALL(py_scale_rows);
CALL(py_sizes);
CALL(py_scaled_triangle);

/* The table or the equation in a capsule. */
const Table *table_of(PyObject *capsule);
const Equation *equation_of(PyObject *capsule);

/* A view of a contiguous array of the given format ("d", "Zd" or "B") and number of items, -1 for any; -1 with an
   exception where it is none. */
int view_of(PyObject *array, Py_buffer *view, const char *format, Py_ssize_t size, int writable);

/* -1, with an exception, where there are not `count` arguments. */
int expect(Py_ssize_t nargs, Py_ssize_t count, const char *call);

/* -1, with an exception, where an argument is no tuple. */
static inline int expect_tuple(PyObject *argument)
{
    if (PyTuple_Check(argument))
        return 0;
    PyErr_SetString(PyExc_TypeError, "a tuple of numbers is needed");
    return -1;
}

/* None, or the exception that is pending. */
static inline PyObject *none(void)
{
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static inline double complex number(Py_complex z)
{
    return CMPLX(z.real, z.imag);
}

#endif
