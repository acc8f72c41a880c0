/* Newton's method where log u is an elementary function of ζ alone, in extended precision: step for step as
   `spectra.solve._solve` for explicit equations. */

#include "calls.h"

#include <math.h>

typedef long double real;
typedef long double complex pair;

#define TURN 3.14159265358979323846264338327950288L

/* log u = constant + log ζ + Σ e_i log(1 − d_i ζ). */
typedef struct {
    real constant;
    Py_ssize_t terms;
    const real *d;
    const double *e;
} Explicit;

typedef struct {
    int max_steps, rough_steps;
    double floor, certified, polished, near;
    real precision;
} Stops;

/* Adds e·log z, in parts: log|z|, the angle from the nearer half-axis, half turns; on the negative axis the limit is from
   the side of `branch`. */
static void add_log(real e, pair z, int branch, real *sum)
{
    real x = creall(z), y = cimagl(z);
    int left = x < 0.0L;
    sum[0] += e * logl(hypotl(x, y));
    sum[1] += e * atan2l(left ? -y : y, fabsl(x));
    sum[2] += left ? e * (y == 0.0L ? branch : y > 0.0L ? 1 : -1) : 0.0L;
}

/* Residual at ζ, where one step leads that is no longer than half of the way to 0 and stays above the axis, and by how
   much log u bends there. */
static double step_from(const Explicit *equation, pair zeta, pair target, pair *next, real *bent)
{
    real sum[3] = {equation->constant, 0.0L, 0.0L};
    pair slope = 1.0L / zeta, bend = -slope * slope;
    add_log(1.0L, zeta, 1, sum);
    for (Py_ssize_t i = 0; i < equation->terms; i++) {
        pair base = 1.0L - equation->d[i] * zeta, ratio = equation->d[i] / base;
        slope -= equation->e[i] * ratio;
        bend -= equation->e[i] * ratio * ratio;
        add_log(equation->e[i], base, -1, sum);
    }
    pair miss = target - CMPLXL(sum[0], sum[1] + TURN * sum[2]), step = miss / slope;
    *bent = cabsl(bend * step * step);
    real far = 2.0L * cabsl(step) / cabsl(zeta);
    *next = zeta + (far > 1.0L ? step / far : step);
    if (cimagl(*next) <= 0.0L && cimagl(zeta) > 0.0L)
        *next = CMPLXL(creall(*next), 0.2L * cimagl(zeta));
    return (double)(cabsl(miss) / (1.0L + cabsl(target)));
}

/* The same in doubles: the step alone. */
static double rough_step(const Explicit *equation, double complex zeta, double complex target, double complex *next)
{
    double log_modulus = (double)equation->constant + log(cabs(zeta)), angle = carg(zeta);
    double complex slope = 1.0 / zeta;
    for (Py_ssize_t i = 0; i < equation->terms; i++) {
        double d = (double)equation->d[i], e = equation->e[i];
        double complex base = 1.0 - d * zeta;
        slope -= e * d / base;
        log_modulus += e * log(cabs(base));
        /* Below the axis, or on it as seen from below. */
        double turned = carg(base);
        angle += e * (turned == PI ? -turned : turned);
    }
    double complex miss = target - CMPLX(log_modulus, angle), step = miss / slope;
    double far = 2.0 * cabs(step) / cabs(zeta);
    *next = zeta + (far > 1.0 ? step / far : step);
    if (cimag(*next) <= 0.0 && cimag(zeta) > 0.0)
        *next = CMPLX(creal(*next), 0.2 * cimag(zeta));
    return cabs(miss) / (1.0 + cabs(target));
}

static pair approached(const Explicit *equation, pair zeta, pair target, const Stops *limits)
{
    double complex here = (double complex)zeta;
    for (int i = 0; i < limits->rough_steps; i++) {
        double complex next;
        double size = rough_step(equation, here, (double complex)target, &next);
        if (!(isfinite(creal(next)) && isfinite(cimag(next))))
            return zeta;
        here = next;
        if (size < limits->near)
            break;
    }
    return (pair)here;
}

static double solve_one(const Explicit *equation, pair target, const Stops *limits, pair *root)
{
    pair zeta = approached(equation, *root, target, limits), next;
    double best = INFINITY, before = INFINITY;
    for (int i = 0; i < limits->max_steps; i++) {
        real bent;
        double size = step_from(equation, zeta, target, &next, &bent);
        if (size < best)
            best = size, *root = zeta;
        if (!isfinite(size) || !(size > limits->floor))
            break;
        int stalled = size > (size < 0.1 * limits->certified ? 0.3 : 1.0) * before;
        if (size < limits->polished && bent < limits->precision) {
            best = size, *root = next;
            break;
        }
        if (stalled && (size < limits->polished || size < limits->certified))
            break;
        before = size, zeta = next;
    }
    return best;
}

/* explicit(constant, d, e, target, zeta, residual, limits): roots ζ in place, and their residuals; `limits` are (max_steps,
   rough_steps, floor, certified, polished, near, precision). */
CALL(py_explicit)
{
    static const char *format[5] = {"g", "d", "Zg", "Zg", "d"};
    Py_buffer view[5];
    Stops limits;
    double precision;
    if (expect(nargs, 7, "explicit(constant, d, e, target, zeta, residual, limits)") < 0 || expect_tuple(args[6]) < 0 ||
        !PyArg_ParseTuple(args[6], "iiddddd", &limits.max_steps, &limits.rough_steps, &limits.floor, &limits.certified,
                          &limits.polished, &limits.near, &precision))
        return NULL;
    limits.precision = precision;
    Explicit equation = {.constant = PyFloat_AsDouble(args[0])};
    if (PyErr_Occurred())
        return NULL;
    Py_ssize_t size = -1;
    int held = 0;
    while (held < 5) {
        Py_ssize_t wanted = held == 1 ? equation.terms : held > 2 ? size : -1;
        if (view_of(args[held + 1], &view[held], format[held], wanted, held > 2) < 0)
            break;
        Py_ssize_t items = view[held].len / view[held].itemsize;
        if (held == 0)
            equation.terms = items;
        else if (held == 2)
            size = items;
        held++;
    }
    if (held == 5) {
        equation.d = view[0].buf, equation.e = view[1].buf;
        for (Py_ssize_t i = 0; i < size; i++)
            ((double *)view[4].buf)[i] = solve_one(&equation, ((pair *)view[2].buf)[i], &limits, (pair *)view[3].buf + i);
    }
    while (held-- > 0)
        PyBuffer_Release(&view[held]);
    return none();
}
