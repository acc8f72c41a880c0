/* One pass over a matrix of a sampled product where numpy makes two to five. */

#include "calls.h"

#include <string.h>

/* A matrix of doubles ("d") or floats ("f") in Fortran order, its columns `step` items apart. */
typedef struct {
    Py_buffer view;
    const char *format;
    Py_ssize_t rows, columns, step;
} Matrix;

#define REAL double
#define NAMED(name) name##_d
#include "passes.h"
#undef REAL
#undef NAMED
#define REAL float
#define NAMED(name) name##_f
#include "passes.h"
#undef REAL
#undef NAMED

static int take_matrix(PyObject *array, Matrix *matrix, int writable)
{
    Py_buffer *view = &matrix->view;
    if (PyObject_GetBuffer(array, view, PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0)) < 0)
        return -1;
    matrix->format = strcmp(view->format, "f") == 0 ? "f" : "d";
    /* Strides along a side of one item, or of an empty matrix, mean nothing. */
    if (view->ndim == 2 && strcmp(view->format, matrix->format) == 0
        && (view->shape[0] < 2 || view->len == 0 || view->strides[0] == view->itemsize)
        && view->strides[1] % view->itemsize == 0) {
        matrix->rows = view->shape[0];
        matrix->columns = view->shape[1];
        matrix->step = view->strides[1] / view->itemsize;
        return 0;
    }
    PyBuffer_Release(view);
    PyErr_SetString(PyExc_TypeError, "a matrix of doubles or floats in Fortran order is needed");
    return -1;
}

/* scale_rows(matrix, factors): multiply every row, by factors of its own type; return the sum of all squares. */
CALL(py_scale_rows)
{
    Matrix matrix;
    Py_buffer factors;
    if (expect(nargs, 2, "scale_rows(matrix, factors)") < 0 || take_matrix(args[0], &matrix, 1) < 0)
        return NULL;
    double sum = 0.0;
    if (view_of(args[1], &factors, matrix.format, matrix.rows, 0) == 0) {
        Py_BEGIN_ALLOW_THREADS
        sum = *matrix.format == 'd' ? scale_rows_d(&matrix, factors.buf) : scale_rows_f(&matrix, factors.buf);
        Py_END_ALLOW_THREADS
        PyBuffer_Release(&factors);
    }
    PyBuffer_Release(&matrix.view);
    return PyErr_Occurred() ? NULL : PyFloat_FromDouble(sum);
}

/* sizes(matrix, squares, largest): the sum of squares of every column, in doubles, and the largest entry of every
   row. */
CALL(py_sizes)
{
    Matrix matrix;
    Py_buffer squares, largest;
    if (expect(nargs, 3, "sizes(matrix, squares, largest)") < 0 || take_matrix(args[0], &matrix, 0) < 0)
        return NULL;
    if (view_of(args[1], &squares, "d", matrix.columns, 1) == 0) {
        if (view_of(args[2], &largest, matrix.format, matrix.rows, 1) == 0) {
            Py_BEGIN_ALLOW_THREADS
            if (*matrix.format == 'd')
                sizes_d(&matrix, squares.buf, largest.buf);
            else
                sizes_f(&matrix, squares.buf, largest.buf);
            Py_END_ALLOW_THREADS
            PyBuffer_Release(&largest);
        }
        PyBuffer_Release(&squares);
    }
    PyBuffer_Release(&matrix.view);
    return none();
}

/* scaled_triangle(matrix, rows, columns, out): diag(rows) A diag(columns), the columns first, zeros below the
   diagonal; the factors are doubles. */
CALL(py_scaled_triangle)
{
    Matrix matrix, out;
    Py_buffer rows, columns;
    if (expect(nargs, 4, "scaled_triangle(matrix, rows, columns, out)") < 0 || take_matrix(args[0], &matrix, 0) < 0)
        return NULL;
    if (take_matrix(args[3], &out, 1) == 0) {
        if (*out.format != *matrix.format || out.rows != matrix.rows || out.columns != matrix.columns)
            PyErr_SetString(PyExc_ValueError, "a result of the shape and type of the matrix is needed");
        else if (view_of(args[1], &rows, "d", matrix.rows, 0) == 0) {
            if (view_of(args[2], &columns, "d", matrix.columns, 0) == 0) {
                Py_BEGIN_ALLOW_THREADS
                if (*matrix.format == 'd')
                    scaled_triangle_d(&matrix, rows.buf, columns.buf, &out);
                else
                    scaled_triangle_f(&matrix, rows.buf, columns.buf, &out);
                Py_END_ALLOW_THREADS
                PyBuffer_Release(&columns);
            }
            PyBuffer_Release(&rows);
        }
        PyBuffer_Release(&out.view);
    }
    PyBuffer_Release(&matrix.view);
    return none();
}
