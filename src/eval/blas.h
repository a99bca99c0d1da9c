/* SPDX-License-Identifier: BSD-3-Clause */
/* What probes call of BLAS, LAPACK and ScaLAPACK.  Matrices lie column after column;
 * sizes are int.  Which BLAS it is the linker decides.
 */
#ifndef EVAL_BLAS_H
#define EVAL_BLAS_H

/* Let a BLAS that has threads use 'threads' of them, and BLIS its best kernels.  To be
 * called before anything below; again to change the threads.
 */
void blas_start(int threads);

void dgemm_(const char *ta, const char *tb, const int *m, const int *n, const int *k,
            const double *alpha, const double *a, const int *lda, const double *b,
            const int *ldb, const double *beta, double *c, const int *ldc);
void dsyrk_(const char *uplo, const char *trans, const int *n, const int *k,
            const double *alpha, const double *a, const int *lda, const double *beta,
            double *c, const int *ldc);
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a,
             const int *lda, double *w, double *work, const int *lwork, int *iwork,
             const int *liwork, int *info);

/* Of ScaLAPACK: 'ia', 'ja' are where in the matrix the operand begins (1, 1), 'desc'
 * says how it lies over the ranks (tiles.h).
 */
void pdgemm_(const char *ta, const char *tb, const int *m, const int *n, const int *k,
             const double *alpha, const double *a, const int *ia, const int *ja,
             const int *desca, const double *b, const int *ib, const int *jb,
             const int *descb, const double *beta, double *c, const int *ic,
             const int *jc, const int *descc);
void pdsyrk_(const char *uplo, const char *trans, const int *n, const int *k,
             const double *alpha, const double *a, const int *ia, const int *ja,
             const int *desca, const double *beta, double *c, const int *ic,
             const int *jc, const int *descc);
void pdsyevd_(const char *jobz, const char *uplo, const int *n, double *a,
              const int *ia, const int *ja, const int *desca, double *w, double *z,
              const int *iz, const int *jz, const int *descz, double *work,
              const int *lwork, int *iwork, const int *liwork, int *info);

#endif
