/* The equation at many points, in arrays. */

#include "calls.h"

#include <math.h>

/* Arguments that all points share: ζ (n,), v (K, n) and jumps (K, n) or None. */
typedef struct {
    const Equation *equation;
    Py_buffer zeta, v, jumps;
    Py_ssize_t size;
    int rough;
} Many;

static int take_many(Many *many, PyObject *const *args)
{
    if ((many->equation = equation_of(args[0])) == NULL || view_of(args[1], &many->zeta, "Zd", -1, 0) < 0)
        return -1;
    many->size = many->zeta.len / (Py_ssize_t)sizeof(double complex);
    Py_ssize_t all = many->size * many->equation->factors;
    many->rough = PyObject_IsTrue(args[4]);
    many->jumps.buf = NULL;
    if (many->rough >= 0 && view_of(args[2], &many->v, "Zd", all, 0) == 0) {
        if (args[3] == Py_None || view_of(args[3], &many->jumps, "d", all, 0) == 0)
            return 0;
        PyBuffer_Release(&many->v);
    }
    PyBuffer_Release(&many->zeta);
    return -1;
}

static void give_many(Many *many)
{
    PyBuffer_Release(&many->zeta);
    PyBuffer_Release(&many->v);
    if (many->jumps.buf != NULL)
        PyBuffer_Release(&many->jumps);
}

/* v and jumps of the i-th point. */
static void column(const Many *many, Py_ssize_t i, double complex *v, double *jumps)
{
    for (Py_ssize_t k = 0; k < many->equation->factors; k++) {
        v[k] = ((double complex *)many->v.buf)[k * many->size + i];
        jumps[k] = many->jumps.buf ? ((double *)many->jumps.buf)[k * many->size + i] : NAN;
    }
}

/* evaluate(equation, zeta, v, jumps, rough, curvature, out, state): rows of `out` (3 + 5K, n) are log_u, slope, bend,
   then rates, curls, mismatch, pull, steepness; `state` (n,) says which points are done. */
CALL(py_evaluate)
{
    Many many;
    Py_buffer out, state;
    double complex v[MOST_FACTORS], rows[5 * MOST_FACTORS];
    double jumps[MOST_FACTORS];
    if (expect(nargs, 8, "evaluate(equation, zeta, v, jumps, rough, curvature, out, state)") < 0)
        return NULL;
    int curvature = PyObject_IsTrue(args[5]);
    if (curvature < 0 || take_many(&many, args) < 0)
        return NULL;
    Py_ssize_t size = many.size, own = 5 * many.equation->factors;
    if (view_of(args[6], &out, "Zd", (3 + own) * size, 1) == 0) {
        if (view_of(args[7], &state, "B", size, 1) == 0) {
            Values at = values_in(rows, many.equation->factors);
            double complex *here = out.buf;
            for (Py_ssize_t i = 0; i < size; i++, here++) {
                column(&many, i, v, jumps);
                double complex zeta = ((double complex *)many.zeta.buf)[i];
                int done = evaluate(many.equation, zeta, v, jumps, many.rough, curvature, &at);
                ((unsigned char *)state.buf)[i] = (unsigned char)done;
                if (done != DONE)
                    continue;
                here[0] = at.log_u, here[size] = at.slope, here[2 * size] = at.bend;
                for (Py_ssize_t k = 0; k < own; k++)
                    here[(3 + k) * size] = rows[k];
            }
            PyBuffer_Release(&state);
        }
        PyBuffer_Release(&out);
    }
    give_many(&many);
    return none();
}

/* improve(equation, zeta, v, jumps, rough, target, size, new_zeta, new_v, state): residuals (n,) and the points that one
   step of Newton's method, shortened to half of the distance to 0, leads to. */
CALL(py_improve)
{
    Many many;
    Py_buffer view[5];
    double complex v[MOST_FACTORS], next[MOST_FACTORS];
    double jumps[MOST_FACTORS];
    if (expect(nargs, 10, "improve(equation, zeta, v, jumps, rough, target, size, new_zeta, new_v, state)") < 0 ||
        take_many(&many, args) < 0)
        return NULL;
    Py_ssize_t size = many.size, factors = many.equation->factors;
    const char *format[5] = {"Zd", "d", "Zd", "Zd", "B"};
    int held = 0;
    while (held < 5 && view_of(args[5 + held], &view[held], format[held], held == 3 ? factors * size : size, held > 0) == 0)
        held++;
    if (held == 5) {
        for (Py_ssize_t i = 0; i < size; i++) {
            column(&many, i, v, jumps);
            ((unsigned char *)view[4].buf)[i] = (unsigned char)improve(
                many.equation, ((double complex *)many.zeta.buf)[i], v, jumps, many.rough,
                ((double complex *)view[0].buf)[i], (double *)view[1].buf + i, (double complex *)view[2].buf + i, next);
            for (Py_ssize_t k = 0; k < factors; k++)
                ((double complex *)view[3].buf)[k * size + i] = next[k];
        }
    }
    while (held-- > 0)
        PyBuffer_Release(&view[held]);
    give_many(&many);
    return none();
}

/* solve(equation, target, zeta, v, jumps, residual, state, limits): roots and their residuals, in place; `jumps`: densities
   (K, n) at v, or None; `limits` are (max_steps, rough_steps, patience, floor, certified, polished, near, tilted). */
CALL(py_solve)
{
    Py_buffer view[6] = {{.buf = NULL}};
    double complex v[MOST_FACTORS];
    double jumps[MOST_FACTORS];
    Limits limits;
    const Equation *equation;
    const char *format[6] = {"Zd", "Zd", "d", "B", "Zd", "d"};
    if (expect(nargs, 8, "solve(equation, target, zeta, v, jumps, residual, state, limits)") < 0 ||
        (equation = equation_of(args[0])) == NULL || expect_tuple(args[7]) < 0 ||
        !PyArg_ParseTuple(args[7], "iiiddddd", &limits.max_steps, &limits.rough_steps, &limits.patience, &limits.floor,
                          &limits.certified, &limits.polished, &limits.near, &limits.tilted))
        return NULL;
    PyObject *array[6] = {args[1], args[2], args[5], args[6], args[3], args[4]};
    Py_ssize_t factors = equation->factors, size = -1;
    int held = 0, count = args[4] == Py_None ? 5 : 6;
    while (held < count && view_of(array[held], &view[held], format[held], held > 3 ? factors * size : size,
                                   held > 0 && held < 5) == 0) {
        if (held == 0)
            size = view[0].len / (Py_ssize_t)sizeof(double complex);
        held++;
    }
    if (held == count) {
        double complex *target = view[0].buf, *zeta = view[1].buf, *rows = view[4].buf;
        const double *known = count == 6 ? view[5].buf : NULL;
        for (Py_ssize_t i = 0; i < size; i++) {
            for (Py_ssize_t k = 0; k < factors; k++) {
                v[k] = rows[k * size + i];
                if (known != NULL)
                    jumps[k] = known[k * size + i];
            }
            ((unsigned char *)view[3].buf)[i] = (unsigned char)solve(equation, target[i], &limits, known ? jumps : NULL,
                                                                    zeta + i, v, (double *)view[2].buf + i);
            for (Py_ssize_t k = 0; k < factors; k++)
                rows[k * size + i] = v[k];
        }
    }
    while (held-- > 0)
        PyBuffer_Release(&view[held]);
    return none();
}
