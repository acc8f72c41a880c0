/* What Python sees of the compiled sums and equations. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <string.h>

#include "newton.h"

/* Raised whenever a table, an argument or a result changes. */
#define VERSION 1
#define CAPSULE "_spectra_native.equation"
#define TABLE "_spectra_native.table"

/* A view of a contiguous array of the given format ("d", "Zd" or "?"). */
static int view_of(PyObject *array, Py_buffer *view, const char *format, Py_ssize_t size, int writable)
{
    int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(array, view, flags) < 0)
        return -1;
    if (view->format == NULL || strcmp(view->format, format) != 0)
        PyErr_Format(PyExc_TypeError, "an array of format '%s' is needed, not '%s'", format, view->format);
    else if (size >= 0 && view->len != size * view->itemsize)
        PyErr_Format(PyExc_ValueError, "an array of %zd items is needed, not %zd", size, view->len / view->itemsize);
    else
        return 0;
    PyBuffer_Release(view);
    return -1;
}

static double complex number(Py_complex z)
{
    return CMPLX(z.real, z.imag);
}

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

static int expect(Py_ssize_t nargs, Py_ssize_t count, const char *call)
{
    if (nargs == count)
        return 0;
    PyErr_SetString(PyExc_TypeError, call);
    return -1;
}

/* Tables of nodes. */

static void destroy_table(PyObject *capsule)
{
    Table *table = PyCapsule_GetPointer(capsule, TABLE);
    free_table(table);
    PyMem_Free(table);
}

/* table(t, w): nodes in order of |t|, a multiple of eight of them, and their weights. */
static PyObject *py_table(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer t, w;
    PyObject *capsule = NULL;
    if (expect(nargs, 2, "table(t, w)") < 0 || view_of(args[0], &t, "Zd", -1, 0) < 0)
        return NULL;
    Py_ssize_t size = t.len / (Py_ssize_t)sizeof(double complex);
    if (view_of(args[1], &w, "Zd", size, 0) == 0) {
        Table *table = PyMem_Calloc(1, sizeof(Table));
        if (size % LANES != 0 || size == 0)
            PyErr_SetString(PyExc_ValueError, "the number of nodes is a multiple of eight");
        else if (table == NULL || make_table(table, t.buf, w.buf, size / LANES * LANES) < 0)
            PyErr_NoMemory();
        else
            capsule = PyCapsule_New(table, TABLE, destroy_table);
        if (capsule == NULL && table != NULL) {
            free_table(table);
            PyMem_Free(table);
        }
        PyBuffer_Release(&w);
    }
    PyBuffer_Release(&t);
    return capsule;
}

static const Table *table_of(PyObject *capsule)
{
    return PyCapsule_GetPointer(capsule, TABLE);
}

/* sums(table, v, order, out): rows of `out` (n, 3 + order). */
static PyObject *py_sums(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer v, out;
    const Table *table;
    if (expect(nargs, 4, "sums(table, v, order, out)") < 0 || (table = table_of(args[0])) == NULL)
        return NULL;
    long order = PyLong_AsLong(args[2]);
    if (PyErr_Occurred())
        return NULL;
    if (order < 0 || order > 2) {
        PyErr_SetString(PyExc_ValueError, "order is 0, 1 or 2");
        return NULL;
    }
    if (view_of(args[1], &v, "Zd", -1, 0) < 0)
        return NULL;
    Py_ssize_t size = v.len / (Py_ssize_t)sizeof(double complex);
    if (view_of(args[3], &out, "Zd", size * (3 + order), 1) == 0) {
        for (Py_ssize_t i = 0; i < size; i++)
            node_sums(table, ((double complex *)v.buf)[i], (int)order, (double complex *)out.buf + i * (3 + order));
        PyBuffer_Release(&out);
    }
    PyBuffer_Release(&v);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

/* difference(table, a, v, out) */
static PyObject *py_difference(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer a, v, out;
    const Table *table;
    if (expect(nargs, 4, "difference(table, a, v, out)") < 0 || (table = table_of(args[0])) == NULL ||
        view_of(args[1], &a, "d", -1, 0) < 0)
        return NULL;
    Py_ssize_t size = a.len / (Py_ssize_t)sizeof(double);
    if (view_of(args[2], &v, "Zd", size, 0) == 0) {
        if (view_of(args[3], &out, "Zd", size, 1) == 0) {
            for (Py_ssize_t i = 0; i < size; i++)
                ((double complex *)out.buf)[i] =
                    divided_difference(table, ((double *)a.buf)[i], ((double complex *)v.buf)[i]);
            PyBuffer_Release(&out);
        }
        PyBuffer_Release(&v);
    }
    PyBuffer_Release(&a);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

/* Equations: tables and arrays that they point into are kept alive. */

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
    release(PyCapsule_GetPointer(capsule, CAPSULE));
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

static PyObject *py_equation(PyObject *Py_UNUSED(self), PyObject *args)
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
    if (!wrong && !(wrong = take_view(held, e, &view) < 0))
        held->equation.e = view->buf;
    for (Py_ssize_t k = 0; k < count && !wrong; k++)
        wrong = take_factor(held, PyTuple_GET_ITEM(factors, k), &rows[k]) < 0;
    PyObject *capsule = wrong ? NULL : PyCapsule_New(held, CAPSULE, destroy);
    if (capsule == NULL)
        release(held);
    return capsule;
}

static const Equation *equation_of(PyObject *capsule)
{
    Held *held = PyCapsule_GetPointer(capsule, CAPSULE);
    return held == NULL ? NULL : &held->equation;
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
static PyObject *py_spot(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs)
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
static PyObject *py_follow(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs)
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

/* project(equation, zeta, v): the state; v (K,) on the constraints, in place. */
static PyObject *py_project(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs)
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
static PyObject *py_critical(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs)
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
static PyObject *py_evaluate(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs)
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
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

/* improve(equation, zeta, v, jumps, rough, target, size, new_zeta, new_v, state): residuals (n,) and the points that one
   step of Newton's method, shortened to half of the distance to 0, leads to. */
static PyObject *py_improve(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs)
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
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

/* solve(equation, target, zeta, v, residual, state, limits): roots and their residuals, in place; `limits` are
   (max_steps, rough_steps, floor, certified, polished, near). */
static PyObject *py_solve(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer view[5];
    double complex v[MOST_FACTORS];
    Limits limits;
    const Equation *equation;
    const char *format[5] = {"Zd", "Zd", "Zd", "d", "B"};
    if (expect(nargs, 7, "solve(equation, target, zeta, v, residual, state, limits)") < 0 ||
        (equation = equation_of(args[0])) == NULL || !PyTuple_Check(args[6]) ||
        !PyArg_ParseTuple(args[6], "iidddd", &limits.max_steps, &limits.rough_steps, &limits.floor, &limits.certified,
                          &limits.polished, &limits.near))
        return NULL;
    Py_ssize_t factors = equation->factors, size = -1;
    int held = 0;
    while (held < 5 && view_of(args[1 + held], &view[held], format[held], held == 2 ? factors * size : size, held > 0) == 0) {
        if (held == 0)
            size = view[0].len / (Py_ssize_t)sizeof(double complex);
        held++;
    }
    if (held == 5) {
        double complex *target = view[0].buf, *zeta = view[1].buf, *rows = view[2].buf;
        for (Py_ssize_t i = 0; i < size; i++) {
            for (Py_ssize_t k = 0; k < factors; k++)
                v[k] = rows[k * size + i];
            ((unsigned char *)view[4].buf)[i] =
                (unsigned char)solve(equation, target[i], &limits, zeta + i, v, (double *)view[3].buf + i);
            for (Py_ssize_t k = 0; k < factors; k++)
                rows[k * size + i] = v[k];
        }
    }
    while (held-- > 0)
        PyBuffer_Release(&view[held]);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

#define FAST(name) (PyCFunction)(void (*)(void)) name, METH_FASTCALL

static PyMethodDef methods[] = {
    {"table", FAST(py_table), "table(t, w)"},
    {"sums", FAST(py_sums), "sums(table, v, order, out)"},
    {"difference", FAST(py_difference), "difference(table, a, v, out)"},
    {"equation", py_equation, METH_VARARGS, "equation(constant, d, e, factors)"},
    {"spot", FAST(py_spot), "spot(equation, zeta, v, jumps, target)"},
    {"follow", FAST(py_follow), "follow(equation, target, zeta, v, tolerance, certified)"},
    {"critical", FAST(py_critical), "critical(equation, logarithmic, zeta, v)"},
    {"project", FAST(py_project), "project(equation, zeta, v)"},
    {"evaluate", FAST(py_evaluate), "evaluate(equation, zeta, v, jumps, rough, curvature, out, state)"},
    {"improve", FAST(py_improve), "improve(equation, zeta, v, jumps, rough, target, size, new_zeta, new_v, state)"},
    {"solve", FAST(py_solve), "solve(equation, target, zeta, v, residual, state, limits)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_spectra_native", "Sums over nodes, and the master equation.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__spectra_native(void)
{
    PyObject *self = PyModule_Create(&module);
    if (self != NULL && PyModule_AddIntConstant(self, "VERSION", VERSION) < 0)
        Py_CLEAR(self);
    return self;
}
