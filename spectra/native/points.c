/* The equation at single points, in plain numbers. */

#include "calls.h"
#include "march.h"

#include <math.h>

static PyObject *as_object(double complex z)
{
    return PyComplex_FromDoubles(creal(z), cimag(z));
}

static PyObject *as_list(const double complex *z, Py_ssize_t size)
{
    PyObject *list = PyList_New(size);
    for (Py_ssize_t k = 0; list != NULL && k < size; k++) {
        PyObject *one = as_object(z[k]);
        if (one == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, k, one);
    }
    return list;
}

static int numbers(PyObject *list, Py_ssize_t size, double complex *out)
{
    if (!PyList_Check(list) || PyList_GET_SIZE(list) != size) {
        PyErr_SetString(PyExc_TypeError, "v is a list of a number for every factor");
        return -1;
    }
    for (Py_ssize_t k = 0; k < size; k++)
        out[k] = number(PyComplex_AsCComplex(PyList_GET_ITEM(list, k)));
    return PyErr_Occurred() ? -1 : 0;
}

/* (zeta, v, log_u, slope, bend, rates, curls, mismatch, pull, steepness, size); None where doubles do not reach. */
static PyObject *as_spot(const Equation *equation, double complex zeta, const double complex *v, const Values *at,
                         double size)
{
    Py_ssize_t factors = equation->factors;
    if (!isfinite(cabs(at->log_u)) || !isfinite(cabs(at->slope)) || !isfinite(cabs(at->bend)))
        Py_RETURN_NONE;
    return Py_BuildValue("(NNNNNNNNNNd)", as_object(zeta), as_list(v, factors), as_object(at->log_u),
                         as_object(at->slope), as_object(at->bend), as_list(at->rates, factors),
                         as_list(at->curls, factors), as_list(at->mismatch, factors), as_list(at->pull, factors),
                         as_list(at->steepness, factors), size);
}

/* spot(equation, zeta, v, jumps, target): None in a general case, True where densities are needed, or a spot; `jumps`
   (K,) or None. */
CALL(py_spot)
{
    const Equation *equation;
    double complex v[MOST_FACTORS], rows[5 * MOST_FACTORS];
    Py_buffer jumps = {.buf = NULL};
    if (expect(nargs, 5, "spot(equation, zeta, v, jumps, target)") < 0 || (equation = equation_of(args[0])) == NULL)
        return NULL;
    double complex zeta = number(PyComplex_AsCComplex(args[1]));
    double target = PyFloat_AsDouble(args[4]);
    if (PyErr_Occurred() || numbers(args[2], equation->factors, v) < 0)
        return NULL;
    if (args[3] != Py_None && view_of(args[3], &jumps, "d", equation->factors, 0) < 0)
        return NULL;
    Values at = values_in(rows, equation->factors);
    int state = evaluate(equation, zeta, v, jumps.buf, 1, 1, &at);
    if (jumps.buf != NULL)
        PyBuffer_Release(&jumps);
    if (state == JUMP)
        Py_RETURN_TRUE;
    if (state == GENERAL)
        Py_RETURN_NONE;
    return as_spot(equation, zeta, v, &at, residual(equation, zeta, v, target, &at));
}

/* follow(equation, target, zeta, v, tolerance, certified): as `spot` where Newton's method leads, or False where it
   strays. */
CALL(py_follow)
{
    const Equation *equation;
    double complex v[MOST_FACTORS], rows[5 * MOST_FACTORS];
    double size;
    if (expect(nargs, 6, "follow(equation, target, zeta, v, tolerance, certified)") < 0 ||
        (equation = equation_of(args[0])) == NULL)
        return NULL;
    double target = PyFloat_AsDouble(args[1]), tolerance = PyFloat_AsDouble(args[4]);
    double certified = PyFloat_AsDouble(args[5]);
    double complex zeta = number(PyComplex_AsCComplex(args[2]));
    if (PyErr_Occurred() || numbers(args[3], equation->factors, v) < 0)
        return NULL;
    Values at = values_in(rows, equation->factors);
    int state = follow(equation, target, tolerance, certified, &zeta, v, &at, &size);
    if (state == JUMP)
        Py_RETURN_TRUE;
    if (state == STRAYED)
        Py_RETURN_FALSE;
    if (state == GENERAL)
        Py_RETURN_NONE;
    return as_spot(equation, zeta, v, &at, size);
}

/* march(equation, log_u, zeta, v, step, fading, pace, resolved, out): None where the equation was not evaluated, else how
   many rows (3K + 4,) of `out` were filled, log u, step and fading where the march stopped, and the spot there. */
CALL(py_march)
{
    const Equation *equation;
    double complex v[MOST_FACTORS], rows[5 * MOST_FACTORS], spare[5 * MOST_FACTORS];
    Py_buffer resolved, out;
    Pace pace;
    if (expect(nargs, 9, "march(equation, log_u, zeta, v, step, fading, pace, resolved, out)") < 0 ||
        (equation = equation_of(args[0])) == NULL || expect_tuple(args[6]) < 0 ||
        !PyArg_ParseTuple(args[6], "ddddddddddd", &pace.rough, &pace.thin, &pace.lost, &pace.largest, &pace.sparse,
                          &pace.beside_pole, &pace.ahead, &pace.least, &pace.down, &pace.flat, &pace.certified))
        return NULL;
    Standing here = {.log_u = PyFloat_AsDouble(args[1]),
                     .step = PyFloat_AsDouble(args[4]),
                     .fading = PyFloat_AsDouble(args[5]),
                     .zeta = number(PyComplex_AsCComplex(args[2])),
                     .v = v,
                     .at = values_in(rows, equation->factors)};
    if (PyErr_Occurred() || numbers(args[3], equation->factors, v) < 0 ||
        view_of(args[7], &resolved, "d", equation->factors, 0) < 0)
        return NULL;
    if (view_of(args[8], &out, "Zd", -1, 1) < 0) {
        PyBuffer_Release(&resolved);
        return NULL;
    }
    Py_ssize_t room = out.len / ((3 * equation->factors + 4) * (Py_ssize_t)sizeof(double complex));
    Py_ssize_t made =
        march(equation, &pace, resolved.buf, &here, values_in(spare, equation->factors), out.buf, room);
    PyBuffer_Release(&out);
    PyBuffer_Release(&resolved);
    if (made < 0)
        Py_RETURN_NONE;
    return Py_BuildValue("(ndddN)", made, here.log_u, here.step, here.fading,
                         as_spot(equation, here.zeta, v, &here.at, here.size));
}

/* stride(equation, zeta, v, length, most): None where not one plain step along a gap was made, else how many, the length of
   the next, and the spot where they end. */
CALL(py_stride)
{
    const Equation *equation;
    double complex v[MOST_FACTORS], rows[5 * MOST_FACTORS], spare[5 * MOST_FACTORS];
    if (expect(nargs, 5, "stride(equation, zeta, v, length, most)") < 0 || (equation = equation_of(args[0])) == NULL)
        return NULL;
    double zeta = PyFloat_AsDouble(args[1]), length = PyFloat_AsDouble(args[3]);
    Py_ssize_t most = PyLong_AsSsize_t(args[4]);
    if (PyErr_Occurred() || numbers(args[2], equation->factors, v) < 0)
        return NULL;
    Values at = values_in(rows, equation->factors);
    Py_ssize_t made = stride(equation, &length, &zeta, v, &at, values_in(spare, equation->factors), most);
    if (made <= 0)
        Py_RETURN_NONE;
    return Py_BuildValue("(ndN)", made, length, as_spot(equation, zeta, v, &at, 0.0));
}

/* project(equation, zeta, v): the state; v (K,) on the constraints, in place. */
CALL(py_project)
{
    const Equation *equation;
    Py_buffer v;
    if (expect(nargs, 3, "project(equation, zeta, v)") < 0 || (equation = equation_of(args[0])) == NULL)
        return NULL;
    double complex zeta = number(PyComplex_AsCComplex(args[1]));
    if (PyErr_Occurred() || view_of(args[2], &v, "Zd", equation->factors, 1) < 0)
        return NULL;
    int state = project(equation, zeta, v.buf);
    PyBuffer_Release(&v);
    return PyLong_FromLong(state);
}

/* critical(equation, logarithmic, zeta, v): the state; zeta (1,) and v (K,) at the critical point, in place. */
CALL(py_critical)
{
    const Equation *equation;
    Py_buffer zeta, v;
    int state = GENERAL, logarithmic;
    if (expect(nargs, 4, "critical(equation, logarithmic, zeta, v)") < 0 || (equation = equation_of(args[0])) == NULL ||
        (logarithmic = PyObject_IsTrue(args[1])) < 0 || view_of(args[2], &zeta, "Zd", 1, 1) < 0)
        return NULL;
    if (view_of(args[3], &v, "Zd", equation->factors, 1) == 0) {
        state = critical(equation, logarithmic, zeta.buf, v.buf);
        PyBuffer_Release(&v);
    }
    PyBuffer_Release(&zeta);
    return PyErr_Occurred() ? NULL : PyLong_FromLong(state);
}
