/* SPDX-License-Identifier: BSD-3-Clause */
/* How attention lays out a thread's scratch, in f64, f32 and bf16 alike: rows are whole
 * cache lines of elements as wide as REAL (in bf16 two numbers, or a sum).  Who
 * includes this has included cpu_rows_real.h.
 */
enum { LINE = CPU_LINE / sizeof(REAL), LEAST_ROWS = 12, TILE_ROWS = 6 };
enum { WEIGHT_BYTES = 256 << 10 /* a quarter to half of usual second level caches */ };
enum { ROWS_AHEAD = 12 };

static int64_t whole_lines(int64_t n)
{
    return (n + LINE - 1) / LINE * LINE;
}

/* The leading dimension of rows as long as the keys: an odd number of lines, as rows a
 * power of two apart would share a part of the cache.
 */
static int64_t odd_lines(int64_t n)
{
    const int64_t whole = whole_lines(n);

    return whole / LINE % 2 == 0 ? whole + LINE : whole;
}

/* Rows of weights that are in hand at a time, 'along' elements each: as many as
 * WEIGHT_BYTES hold, in whole tiles, but no more than 'most'.
 */
static int64_t rows_in_hand(int64_t along, int64_t most)
{
    const int64_t rows =
        WEIGHT_BYTES / (along * (int64_t)sizeof(REAL)) / TILE_ROWS * TILE_ROWS;

    return rows > most ? most : rows < LEAST_ROWS ? LEAST_ROWS : rows;
}

/* Rows 'first' on of head h of 'a' = x [rows, across]. */
static void unpack(struct dev_stream *s, int64_t across, struct mat a, const REAL *x,
                   int64_t first, int64_t rows, int64_t h, int64_t E)
{
    for (int64_t r = 0; r < rows; r++)
        row_write(loops(s), a, x + r * across, first + r, h * E, E);
}

/* The largest logit of all rows, of each of which 'kept' has it first;
 * NaN if one is.
 */
static REAL largest_kept(const REAL *kept, int64_t rows)
{
    REAL most = (REAL)-INFINITY;

    for (int64_t i = 0; i < rows; i++) {
        const REAL largest = kept[2 * i];

        if (largest > most || isnan(largest))
            most = largest;
    }
    return most;
}
