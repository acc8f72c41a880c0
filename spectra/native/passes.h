/* Loops over columns of numbers of type REAL, NAMED after it: included once for each precision (matrices.c). */

/* Σ x_i² in doubles, in partial sums that a processor forms side by side. */
FOR_EVERY_PROCESSOR
static double NAMED(square)(const REAL *x, Py_ssize_t n)
{
    double parts[4 * LANES] = {0.0}, sum = 0.0;
    Py_ssize_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int k = 0; k < 4 * LANES; k++)
            parts[k] += (double)x[i + k] * (double)x[i + k];
    for (; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    for (int k = 0; k < 4 * LANES; k++)
        sum += parts[k];
    return sum;
}

FOR_EVERY_PROCESSOR
static void NAMED(multiply)(REAL *restrict x, const REAL *restrict factors, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        x[i] *= factors[i];
}

FOR_EVERY_PROCESSOR
static void NAMED(enlarge)(REAL *restrict sizes, const REAL *restrict x, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        REAL size = x[i] < 0 ? -x[i] : x[i];
        sizes[i] = size > sizes[i] ? size : sizes[i];
    }
}

FOR_EVERY_PROCESSOR
static void NAMED(scale)(REAL *restrict out, const REAL *restrict x, double factor, const double *restrict factors,
                         Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        out[i] = (REAL)((double)x[i] * factor * factors[i]);
}

static double NAMED(scale_rows)(const Matrix *matrix, const REAL *factors)
{
    double sum = 0.0;
    for (Py_ssize_t j = 0; j < matrix->columns; j++) {
        REAL *x = (REAL *)matrix->view.buf + j * matrix->step;
        NAMED(multiply)(x, factors, matrix->rows);
        sum += NAMED(square)(x, matrix->rows);
    }
    return sum;
}

static void NAMED(sizes)(const Matrix *matrix, double *squares, REAL *largest)
{
    memset(largest, 0, (size_t)matrix->rows * sizeof(REAL));
    for (Py_ssize_t j = 0; j < matrix->columns; j++) {
        const REAL *x = (const REAL *)matrix->view.buf + j * matrix->step;
        squares[j] = NAMED(square)(x, matrix->rows);
        NAMED(enlarge)(largest, x, matrix->rows);
    }
}

static void NAMED(scaled_triangle)(const Matrix *matrix, const double *rows, const double *columns,
                                   const Matrix *out)
{
    for (Py_ssize_t j = 0; j < matrix->columns; j++) {
        Py_ssize_t above = j + 1 < matrix->rows ? j + 1 : matrix->rows;
        REAL *to = (REAL *)out->view.buf + j * out->step;
        NAMED(scale)(to, (const REAL *)matrix->view.buf + j * matrix->step, columns[j], rows, above);
        memset(to + above, 0, (size_t)(matrix->rows - above) * sizeof(REAL));
    }
}
