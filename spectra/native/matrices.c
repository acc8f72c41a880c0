/* One pass over a matrix of a sampled product where numpy makes two to five. */

#include "calls.h"

#include <string.h>

/* A matrix in Fortran order, its columns `step` items apart. */
typedef struct {
    Py_buffer view;
    double *data;
    Py_ssize_t rows, columns, step;
} Matrix;

static int take_matrix(PyObject *array, Matrix *matrix, int writable)
{
    Py_buffer *view = &matrix->view;
    if (PyObject_GetBuffer(array, view, PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0)) < 0)
        return -1;
    Py_ssize_t item = (Py_ssize_t)sizeof(double);
    /* Strides along a side of one item, or of an empty matrix, mean nothing. */
    if (view->ndim == 2 && strcmp(view->format, "d") == 0
        && (view->shape[0] < 2 || view->len == 0 || view->strides[0] == item) && view->strides[1] % item == 0) {
        matrix->data = view->buf;
        matrix->rows = view->shape[0];
        matrix->columns = view->shape[1];
        matrix->step = view->strides[1] / item;
        return 0;
    }
    PyBuffer_Release(view);
    PyErr_SetString(PyExc_TypeError, "a matrix of doubles in Fortran order is needed");
    return -1;
}

static double *column(const Matrix *matrix, Py_ssize_t j)
{
    return matrix->data + j * matrix->step;
}

/* Σ x_i², in partial sums that a processor forms side by side. */
FOR_EVERY_PROCESSOR
static double square(const double *x, Py_ssize_t n)
{
    double parts[4 * LANES] = {0.0}, sum = 0.0;
    Py_ssize_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int k = 0; k < 4 * LANES; k++)
            parts[k] += x[i + k] * x[i + k];
    for (; i < n; i++)
        sum += x[i] * x[i];
    for (int k = 0; k < 4 * LANES; k++)
        sum += parts[k];
    return sum;
}

FOR_EVERY_PROCESSOR
static void multiply(double *restrict x, const double *restrict factors, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        x[i] *= factors[i];
}

FOR_EVERY_PROCESSOR
static void enlarge(double *restrict sizes, const double *restrict x, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        double size = __builtin_fabs(x[i]);
        sizes[i] = size > sizes[i] ? size : sizes[i];
    }
}

FOR_EVERY_PROCESSOR
static void scaled_column(double *restrict out, const double *restrict x, double factor, const double *restrict factors,
                          Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        out[i] = x[i] * factor * factors[i];
}

/* scale_rows(matrix, factors): multiply every row; return the sum of all squares. */
CALL(py_scale_rows)
{
    Matrix matrix;
    Py_buffer factors;
    if (expect(nargs, 2, "scale_rows(matrix, factors)") < 0 || take_matrix(args[0], &matrix, 1) < 0)
        return NULL;
    double sum = 0.0;
    if (view_of(args[1], &factors, "d", matrix.rows, 0) == 0) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t j = 0; j < matrix.columns; j++) {
            multiply(column(&matrix, j), factors.buf, matrix.rows);
            sum += square(column(&matrix, j), matrix.rows);
        }
        Py_END_ALLOW_THREADS
        PyBuffer_Release(&factors);
    }
    PyBuffer_Release(&matrix.view);
    return PyErr_Occurred() ? NULL : PyFloat_FromDouble(sum);
}

/* sizes(matrix, squares, largest): the sum of squares of every column, the largest entry of every row. */
CALL(py_sizes)
{
    Matrix matrix;
    Py_buffer squares, largest;
    if (expect(nargs, 3, "sizes(matrix, squares, largest)") < 0 || take_matrix(args[0], &matrix, 0) < 0)
        return NULL;
    if (view_of(args[1], &squares, "d", matrix.columns, 1) == 0) {
        if (view_of(args[2], &largest, "d", matrix.rows, 1) == 0) {
            Py_BEGIN_ALLOW_THREADS
            memset(largest.buf, 0, (size_t)largest.len);
            for (Py_ssize_t j = 0; j < matrix.columns; j++) {
                ((double *)squares.buf)[j] = square(column(&matrix, j), matrix.rows);
                enlarge(largest.buf, column(&matrix, j), matrix.rows);
            }
            Py_END_ALLOW_THREADS
            PyBuffer_Release(&largest);
        }
        PyBuffer_Release(&squares);
    }
    PyBuffer_Release(&matrix.view);
    return none();
}

/* scaled_triangle(matrix, rows, columns, out): diag(rows) A diag(columns), the columns first, zeros below the
   diagonal. */
CALL(py_scaled_triangle)
{
    Matrix matrix, out;
    Py_buffer rows, columns;
    if (expect(nargs, 4, "scaled_triangle(matrix, rows, columns, out)") < 0 || take_matrix(args[0], &matrix, 0) < 0)
        return NULL;
    if (take_matrix(args[3], &out, 1) == 0) {
        if (out.rows != matrix.rows || out.columns != matrix.columns)
            PyErr_SetString(PyExc_ValueError, "a result of the shape of the matrix is needed");
        else if (view_of(args[1], &rows, "d", matrix.rows, 0) == 0) {
            if (view_of(args[2], &columns, "d", matrix.columns, 0) == 0) {
                Py_BEGIN_ALLOW_THREADS
                for (Py_ssize_t j = 0; j < matrix.columns; j++) {
                    Py_ssize_t above = j + 1 < matrix.rows ? j + 1 : matrix.rows;
                    scaled_column(column(&out, j), column(&matrix, j), ((double *)columns.buf)[j], rows.buf, above);
                    memset(column(&out, j) + above, 0, (size_t)(matrix.rows - above) * sizeof(double));
                }
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
