/* The equation beside a pole at many points, in arrays. */

#include "beside.h"
#include "calls.h"

#include <string.h>

/* Views of the arrays of a call, `size[i]` items of `format[i]` each, those from `results` on writable. */
static int take(PyObject *const *args, int count, const char *const *format, const Py_ssize_t *size, int results,
                Py_buffer *view)
{
    for (int i = 0; i < count; i++)
        if (view_of(args[i], &view[i], format[i], size[i], i >= results) < 0) {
            while (i-- > 0)
                PyBuffer_Release(&view[i]);
            return -1;
        }
    return 0;
}

static LocalValues rows_in(double complex *rows, Py_ssize_t factors)
{
    return (LocalValues){rows[0], rows[0], rows, rows + factors, rows + 2 * factors, rows + 3 * factors};
}

static void column(const double complex *rows, Py_ssize_t factors, Py_ssize_t size, Py_ssize_t i, double complex *out)
{
    for (Py_ssize_t k = 0; k < factors; k++)
        out[k] = rows[k * size + i];
}

/* local(equation, mass, s, epsilon, out, state): rows of `out` (2 + 4K, n) are value, rate, misses, mends, pushes and
   speeds at s (n,) and ε (K, n); `state` (n,) says which points are done. */
CALL(py_local)
{
    Py_buffer view[5];
    double complex epsilon[MOST_FACTORS], rows[4 * MOST_FACTORS] = {0};
    const Equation *equation;
    if (expect(nargs, 6, "local(equation, mass, s, epsilon, out, state)") < 0 ||
        (equation = equation_of(args[0])) == NULL)
        return NULL;
    Py_ssize_t factors = equation->factors, n = PyObject_Length(args[2]);
    const char *format[] = {"d", "Zd", "Zd", "Zd", "B"};
    Py_ssize_t size[] = {factors, n, factors * n, (2 + 4 * factors) * n, n};
    if (n < 0 || take(args + 1, 5, format, size, 3, view) < 0)
        return NULL;
    Local local = {equation, view[0].buf};
    LocalValues at = rows_in(rows, factors);
    double complex *s = view[1].buf, *out = view[3].buf;
    unsigned char *state = view[4].buf;
    for (Py_ssize_t i = 0; i < n; i++) {
        column(view[2].buf, factors, n, i, epsilon);
        state[i] = (unsigned char)evaluate_beside(&local, s[i], epsilon, &at);
        out[i] = at.value, out[n + i] = at.rate;
        for (Py_ssize_t k = 0; k < 4 * factors; k++)
            out[(2 + k) * n + i] = rows[k];
    }
    for (int i = 0; i < 5; i++)
        PyBuffer_Release(&view[i]);
    return none();
}

/* Multiply s and ε as they change over `distance` in the logarithm of the distance from the pole. */
static void extrapolate(const Course *course, double distance, Py_ssize_t factors, double complex *s,
                        double complex *epsilon)
{
    double complex step = distance / course->power;
    *s *= cexp(step);
    /* It may turn too far. */
    *s = CMPLX(creal(*s), -fabs(cimag(*s)));
    for (Py_ssize_t k = 0; k < factors; k++) {
        epsilon[k] *= cexp(step * course->speeds[k]);
        epsilon[k] = CMPLX(creal(epsilon[k]), -fabs(cimag(epsilon[k])));
    }
}

/* locate(equation, (side, offset, certified), mass, log_distance, at, s, epsilon, power, residual, state): solutions
   (s, ε) at distances (n,) from those at distances `at`, in place; or from the one before, where that is nearer. */
CALL(py_locate)
{
    Py_buffer view[8];
    double complex epsilon[MOST_FACTORS], speeds[MOST_FACTORS], before[MOST_FACTORS];
    double side, offset, certified;
    const Equation *equation;
    if (expect(nargs, 10, "locate(equation, (side, offset, certified), mass, log_distance, at, s, epsilon, power, residual, state)") < 0 ||
        (equation = equation_of(args[0])) == NULL || expect_tuple(args[1]) < 0 ||
        !PyArg_ParseTuple(args[1], "ddd", &side, &offset, &certified))
        return NULL;
    Py_ssize_t factors = equation->factors, n = PyObject_Length(args[3]);
    const char *format[] = {"d", "d", "d", "Zd", "Zd", "Zd", "d", "B"};
    Py_ssize_t size[] = {factors, n, n, n, factors * n, n, n, n};
    if (n < 0 || take(args + 2, 8, format, size, 3, view) < 0)
        return NULL;
    Local local = {equation, view[0].buf};
    const double *to = view[1].buf, *from = view[2].buf;
    double complex *s = view[3].buf, *rows = view[4].buf, *power = view[5].buf;
    double *residual = view[6].buf;
    unsigned char *state = view[7].buf;
    Course course = {.speeds = speeds};
    for (Py_ssize_t i = 0; i < n; i++) {
        int follows = i > 0 && state[i - 1] == DONE && residual[i - 1] < certified && to[i - 1] >= to[i] &&
                      to[i - 1] - to[i] < fabs(to[i] - from[i]);
        if (follows) {
            s[i] = s[i - 1];
            memcpy(epsilon, before, sizeof(before[0]) * factors);
        } else {
            course.power = power[i];
            column(rows, factors, n, i, epsilon);
            for (Py_ssize_t k = 0; k < factors; k++)
                speeds[k] = 1.0;
        }
        extrapolate(&course, to[i] - (follows ? to[i - 1] : from[i]), factors, &s[i], epsilon);
        state[i] = (unsigned char)solve_beside(&local, to[i], side, offset, &s[i], epsilon, &course);
        memcpy(before, epsilon, sizeof(before[0]) * factors);
        power[i] = course.power, residual[i] = course.residual;
        for (Py_ssize_t k = 0; k < factors; k++)
            rows[k * n + i] = epsilon[k];
    }
    for (int i = 0; i < 8; i++)
        PyBuffer_Release(&view[i]);
    return none();
}
