/* What is done before solving: starting values between the points of a sweep, and panels along a path. */

#include "calls.h"

#include <math.h>

/* The interval of the rising `x` (at least two entries) in which `at` lies. */
static Py_ssize_t interval(const double *x, Py_ssize_t size, double at)
{
    Py_ssize_t i = count_up_to(x, size, at) - 1;
    return i < 0 ? 0 : i > size - 2 ? size - 2 : i;
}

static int is_unknown(double complex z)
{
    return isnan(creal(z)) || isnan(cimag(z));
}

static int is_number(double complex z)
{
    return isfinite(creal(z)) && isfinite(cimag(z));
}

/* t (1 − t) (a (1 − t) + e t + t (1 − t) (m (1 − t) + n t)) and the chord: see `spectra.guess.Guess`. */
typedef struct {
    double complex value, rise, a, e, m, n;
} Quintic;

static Quintic between(double gap, const double complex *value, const double complex *slope, const double complex *turn)
{
    double complex rise = value[1] - value[0];
    double complex slope_0 = slope[0] * gap - rise, slope_1 = slope[1] * gap - rise;
    double complex turn_0 = turn[0] * gap * gap, turn_1 = turn[1] * gap * gap;
    double complex guessed_0 = 0.5 * turn_1 - 2.0 * slope_1, guessed_1 = 0.5 * turn_0 + 2.0 * slope_0;
    Quintic q = {value[0], rise, slope_0, -slope_1, 0.0, 0.0};
    if (is_unknown(slope_0))
        q.a = is_unknown(guessed_0) ? -slope_1 : guessed_0;
    if (is_unknown(slope_1))
        q.e = is_unknown(guessed_1) ? slope_0 : -guessed_1;
    if (!(is_number(q.a) && is_number(q.e))) {
        q.a = q.e = 0.0;
        return q;
    }
    double complex more_0 = turn_0 - 2.0 * (q.e - 2.0 * q.a), more_1 = turn_1 - 2.0 * (q.a - 2.0 * q.e);
    if (is_number(more_0) && is_number(more_1))
        q.m = 0.5 * more_0, q.n = 0.5 * more_1;
    return q;
}

/* guess(s, table, slopes, turns, at, out): the exponentials of the rows (R, m) at `at`, from those at s; on or above the
   real axis. */
CALL(py_guess)
{
    Py_buffer view[6];
    const char *format[6] = {"d", "Zd", "Zd", "Zd", "d", "Zd"};
    if (expect(nargs, 6, "guess(s, table, slopes, turns, at, out)") < 0)
        return NULL;
    Py_ssize_t size = 0, rows = 0, many = 0;
    int held = 0;
    while (held < 6) {
        Py_ssize_t wanted = held == 2 || held == 3 ? rows * size : held == 5 ? rows * many : -1;
        if (view_of(args[held], &view[held], format[held], wanted, held == 5) < 0)
            break;
        Py_ssize_t items = view[held].len / view[held].itemsize;
        held++;
        if (held == 1)
            size = items;
        else if (held == 2)
            rows = size ? items / size : 0;
        else if (held == 5)
            many = items;
    }
    Quintic *piece = held == 6 && size > 1 ? PyMem_Malloc((size - 1) * sizeof(Quintic)) : NULL;
    if (held == 6 && size < 2)
        PyErr_SetString(PyExc_ValueError, "at least two points are needed");
    else if (held == 6 && piece == NULL)
        PyErr_NoMemory();
    for (Py_ssize_t k = 0; piece != NULL && k < rows; k++) {
        const double *s = view[0].buf, *at = view[4].buf;
        const double complex *value = (double complex *)view[1].buf + k * size;
        const double complex *slope = (double complex *)view[2].buf + k * size;
        const double complex *turn = (double complex *)view[3].buf + k * size;
        double complex *out = (double complex *)view[5].buf + k * many;
        for (Py_ssize_t i = 0; i < size - 1; i++)
            piece[i] = between(s[i + 1] - s[i], value + i, slope + i, turn + i);
        for (Py_ssize_t j = 0; j < many; j++) {
            Py_ssize_t i = interval(s, size, at[j]);
            const Quintic *q = piece + i;
            double gap = s[i + 1] - s[i], t = gap > 0.0 ? (at[j] - s[i]) / gap : 0.0, r = 1.0 - t;
            double complex bulge = r * q->a + t * q->e + t * r * (r * q->m + t * q->n);
            double complex z = cexp(q->value + t * q->rise + t * r * bulge);
            out[j] = CMPLX(creal(z), fabs(cimag(z)));
        }
    }
    PyMem_Free(piece);
    while (held-- > 0)
        PyBuffer_Release(&view[held]);
    return none();
}

/* Corners of the panels over the points x: its ends, the first and the last point, and in between as the counter rises. */
static void put_corners(const double *x, const double *height, const double *counter, Py_ssize_t size, Py_ssize_t count,
                        double side, double complex *corner)
{
    for (Py_ssize_t j = 0; j <= count; j++) {
        double at = j < count ? counter[size - 1] * ((double)j / (double)count) : counter[size - 1];
        if (size == 1) {
            corner[j] = CMPLX(x[0], side * height[0]);
            continue;
        }
        Py_ssize_t i = interval(counter, size, at);
        double gap = counter[i + 1] - counter[i], t = gap > 0.0 ? (at - counter[i]) / gap : 0.0;
        corner[j] = CMPLX(x[i] + t * (x[i + 1] - x[i]), side * (height[i] + t * (height[i + 1] - height[i])));
    }
}

/* panels(x, height, rate, side, begin, stop, nodes, weights): the bytes of the nodes and of their weights on panels from
   `begin` over (x, height) to `stop`, of which there are as many as ∫ rate dx/2 says; `nodes` and `weights` are those of
   one panel, on (−1, 1). */
CALL(py_panels)
{
    Py_buffer view[5];
    const int from[5] = {0, 1, 2, 6, 7};
    if (expect(nargs, 8, "panels(x, height, rate, side, begin, stop, nodes, weights)") < 0)
        return NULL;
    double side = PyFloat_AsDouble(args[3]);
    double complex begin = number(PyComplex_AsCComplex(args[4])), stop = number(PyComplex_AsCComplex(args[5]));
    if (PyErr_Occurred())
        return NULL;
    Py_ssize_t size = -1, order = -1;
    int held = 0;
    while (held < 5 && view_of(args[from[held]], &view[held], "d", held < 3 ? size : order, 0) == 0) {
        Py_ssize_t items = view[held].len / (Py_ssize_t)sizeof(double);
        size = held == 0 ? items : size, order = held == 3 ? items : order;
        held++;
    }
    PyObject *result = NULL;
    if (held == 5 && size < 1)
        PyErr_SetString(PyExc_ValueError, "a path has at least one point");
    else if (held == 5) {
        const double *x = view[0].buf, *height = view[1].buf, *rate = view[2].buf;
        double *counter = PyMem_Malloc(size * sizeof(double));
        double complex *corner = NULL;
        Py_ssize_t count = 1;
        if (counter != NULL) {
            counter[0] = 0.0;
            for (Py_ssize_t i = 1; i < size; i++)
                counter[i] = counter[i - 1] + 0.25 * (rate[i] + rate[i - 1]) * (x[i] - x[i - 1]);
            /* Also where it is no number. */
            if (counter[size - 1] > 1.0 && counter[size - 1] < 1e9)
                count = (Py_ssize_t)ceil(counter[size - 1]);
            corner = PyMem_Malloc((count + 3) * sizeof(double complex));
        }
        if (corner != NULL) {
            corner[0] = begin, corner[count + 2] = stop;
            put_corners(x, height, counter, size, count, side, corner + 1);
            PyObject *nodes = PyBytes_FromStringAndSize(NULL, (count + 2) * order * (Py_ssize_t)sizeof(double complex));
            PyObject *weights = PyBytes_FromStringAndSize(NULL, (count + 2) * order * (Py_ssize_t)sizeof(double complex));
            if (nodes != NULL && weights != NULL) {
                double complex *at = (double complex *)PyBytes_AS_STRING(nodes);
                double complex *weight = (double complex *)PyBytes_AS_STRING(weights);
                for (Py_ssize_t j = 0; j < count + 2; j++) {
                    double complex half = 0.5 * (corner[j + 1] - corner[j]), middle = corner[j] + half;
                    for (Py_ssize_t i = 0; i < order; i++) {
                        *at++ = middle + half * ((double *)view[3].buf)[i];
                        *weight++ = half * ((double *)view[4].buf)[i];
                    }
                }
                result = PyTuple_Pack(2, nodes, weights);
            }
            Py_XDECREF(nodes);
            Py_XDECREF(weights);
        }
        else
            PyErr_NoMemory();
        PyMem_Free(counter);
        PyMem_Free(corner);
    }
    while (held-- > 0)
        PyBuffer_Release(&view[held]);
    return result;
}

/* invert(x, height, rate, goal, out): rows of `out` (3, n) are x at height `goal` (n,) by Hermite's cubic, its derivative
   there `rate`, and the neighbours in the table that it is kept between. */
CALL(py_invert)
{
    Py_buffer view[5];
    Py_ssize_t size = -1, many = 0;
    int held = 0;
    if (expect(nargs, 5, "invert(x, height, rate, goal, out)") < 0)
        return NULL;
    for (; held < 5; held++) {
        if (view_of(args[held], &view[held], "d", held == 4 ? 3 * many : held == 3 ? -1 : size, held == 4) < 0)
            break;
        if (held == 0)
            size = view[0].len / (Py_ssize_t)sizeof(double);
        if (held == 3)
            many = view[3].len / (Py_ssize_t)sizeof(double);
    }
    if (held == 5 && size < 2)
        PyErr_SetString(PyExc_ValueError, "a table has two entries at least");
    else if (held == 5) {
        const double *x = view[0].buf, *height = view[1].buf, *rate = view[2].buf, *goal = view[3].buf;
        double *out = view[4].buf;
        for (Py_ssize_t i = 0; i < many; i++) {
            Py_ssize_t k = interval(height, size, goal[i]);
            double low = x[k], high = x[k + 1], width = high - low, gap = height[k + 1] - height[k];
            double s = (goal[i] - height[k]) / gap, even = low + width * s;
            double bend = (1.0 - s) * (rate[k] * gap - width) - s * (rate[k + 1] * gap - width);
            double found = even + s * (1.0 - s) * bend;
            out[i] = (found - low) * (found - high) < 0.0 ? found : even;
            out[many + i] = low, out[2 * many + i] = high;
        }
    }
    while (held-- > 0)
        PyBuffer_Release(&view[held]);
    return none();
}

/* By how much Hermite's quintic between points i and k of x, y, dy/dx, d²y/dx² and weights misses those in between, the
   largest. */
static double missed(const double *x, Py_ssize_t size, Py_ssize_t i, Py_ssize_t k)
{
    double most = 0.0;
    const double *y = x + size, *slope = y + size, *turn = slope + size, *weight = turn + size;
    double gap = x[k] - x[i], rise = y[k] - y[i], square = 0.5 * gap * gap;
    double a = slope[i] * gap - rise, e = rise - slope[k] * gap;
    double m = square * turn[i] - e + 2.0 * a, n = square * turn[k] - a + 2.0 * e;
    for (Py_ssize_t j = i + 1; j < k; j++) {
        double t = (x[j] - x[i]) / gap, r = 1.0 - t;
        double miss = weight[j] * fabs(y[i] + t * rise + t * r * (r * a + t * e + t * r * (r * m + t * n)) - y[j]);
        /* Written so that NaN counts. */
        if (!(miss <= most))
            most = miss;
    }
    return most;
}

/* As in `spectra.joining`: whether the steps from i to k go by one polynomial. */
static int joins(const double *x, const double *alone, Py_ssize_t size, Py_ssize_t i, Py_ssize_t k, double limit,
                 double share)
{
    if (!(alone[k - 1] < limit))
        return 0;
    /* An error passes through 0: those beside it count as well. */
    for (Py_ssize_t j = i; j <= k; j++)
        if (!(share * alone[j] < limit))
            return 0;
    return missed(x, size, i, k) < limit;
}

/* joined(table, (begin, end, last, stop), limit, share, out, alone): how many points, written to `out`, pieces end at; and by
   how much every point is missed between those beside it. */
CALL(py_joined)
{
    Py_buffer table, out, misses;
    Py_ssize_t begin, end, last, stop, count = 0;
    if (expect(nargs, 6, "joined(table, (begin, end, last, stop), limit, share, out, alone)") < 0 || expect_tuple(args[1]) < 0 ||
        !PyArg_ParseTuple(args[1], "nnnn", &begin, &end, &last, &stop))
        return NULL;
    double limit = PyFloat_AsDouble(args[2]), share = PyFloat_AsDouble(args[3]);
    if (PyErr_Occurred() || view_of(args[0], &table, "d", -1, 0) < 0)
        return NULL;
    Py_ssize_t size = table.len / (5 * (Py_ssize_t)sizeof(double));
    if (view_of(args[4], &out, "l", size, 1) < 0) {
        PyBuffer_Release(&table);
        return NULL;
    }
    if (view_of(args[5], &misses, "d", size, 1) < 0) {
        PyBuffer_Release(&table);
        PyBuffer_Release(&out);
        return NULL;
    }
    const double *x = table.buf;
    double *alone = misses.buf;
    long *kept = out.buf;
    for (Py_ssize_t j = 0; j < size; j++)
        alone[j] = j > 0 && j < size - 1 ? missed(x, size, j - 1, j + 1) : 0.0;
    if (!(begin >= 0 && end >= 0 && last < size && stop < size))
        PyErr_SetString(PyExc_IndexError, "there is no such point");
    else {
        while (begin < end && end < last && joins(x, alone, size, begin, end + 1, limit, share))
            end++;
        if (end <= last)
            kept[count++] = (long)end;
        while (end < stop) {
            begin = end++;
            while (end < stop && joins(x, alone, size, begin, end + 1, limit, share))
                end++;
            if (end <= last)
                kept[count++] = (long)end;
        }
    }
    PyBuffer_Release(&table);
    PyBuffer_Release(&out);
    PyBuffer_Release(&misses);
    return PyErr_Occurred() ? NULL : PyLong_FromSsize_t(count);
}
