/* Reference kernel: 32 paths in SIMD lanes, vectorised xoshiro256+ and Box-Muller, fused step.
   void run_block32(long paths, long steps, double alpha, double sigma, const double *start, uint64_t seed, double *out) */

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <stdlib.h>
typedef uint64_t u64;
static inline u64 rotl(u64 x,int k){return (x<<k)|(x>>(64-k));}
static inline u64 splitmix(u64*s){u64 z=(*s+=0x9e3779b97f4a7c15ULL);z=(z^(z>>30))*0xbf58476d1ce4e5b9ULL;z=(z^(z>>27))*0x94d049bb133111ebULL;return z^(z>>31);}
typedef struct {u64 s[4];} xo;
static inline u64 nxt(xo*g){u64*s=g->s;u64 r=s[0]+s[3],t=s[1]<<17;s[2]^=s[0];s[3]^=s[1];s[1]^=s[2];s[0]^=s[3];s[2]^=t;s[3]=rotl(s[3],45);return r;}
static inline double b2d(u64 u){double d;memcpy(&d,&u,8);return d;}
static inline u64 d2b(double d){u64 u;memcpy(&u,&d,8);return u;}
/* vectorisable: u uniform in (0,1] -> sqrt(-2 log u); angle uniform on the circle by octant trick */
#define BM(b,E0,E1) { double u_=2.0-b2d((U1[b]>>12)|0x3FF0000000000000ULL); u64 ub=d2b(u_); \
  u64 eb=(ub-0x3FE6A09E667F3BCDULL)>>52; /* biased so that m in [sqrt.5,sqrt2) */ \
  double m_=b2d(ub-(eb<<52)); double e_=b2d((eb&0xFFF)|0x4330000000000000ULL)-4503599627370496.0; e_=(e_>2048.)?e_-4096.:e_; \
  double s_=(m_-1.0)/(m_+1.0),z_=s_*s_; \
  double l_=2*s_*(1+z_*(1./3+z_*(1./5+z_*(1./7+z_*(1./9+z_*(1./11+z_*(1./13+z_*(1./15+z_*(1./17)))))))))+e_*0.6931471805599453; \
  double R_=sigma*sqrt(-2.0*l_); \
  double x_=(b2d((U2[b]>>12)|0x3FF0000000000000ULL)-1.5)*1.5707963267948966, y_=x_*x_; \
  double sn=x_*(1+y_*(-1./6+y_*(1./120+y_*(-1./5040+y_*(1./362880+y_*(-1./39916800+y_*(1./6227020800.))))))); \
  double cs=1+y_*(-1./2+y_*(1./24+y_*(-1./720+y_*(1./40320+y_*(-1./3628800+y_*(1./479001600.+y_*(-1./87178291200.))))))); \
  u64 q_=U2[b]; double p_=(q_&1)?sn:cs, r_=(q_&1)?cs:sn; \
  E0[b]=R_*b2d(d2b(p_)^((q_&2)<<62)); E1[b]=R_*b2d(d2b(r_)^((q_&4)<<61)); }

#define XO(U) for(int b=0;b<32;b++){u64 a=S[0][b],bb=S[1][b],c=S[2][b],d=S[3][b];u64 t=bb<<17;U[b]=a+d;c^=a;d^=bb;bb^=c;a^=d;c^=t;d=rotl(d,45);S[0][b]=a;S[1][b]=bb;S[2][b]=c;S[3][b]=d;}
void run_block32(long P,long T,double alpha,double sigma,const double*w_,u64 seed,double*out){
 #pragma omp parallel for schedule(static)
 for(long p=0;p<P;p+=32){
  _Alignas(64) u64 S[4][32]; _Alignas(64) double W[2][32]; _Alignas(64) double M[2][32]; _Alignas(64) double E[2][32];
  u64 s=seed+p*7919; for(int k=0;k<4;k++)for(int b=0;b<32;b++)S[k][b]=splitmix(&s);
  for(int i=0;i<2;i++)for(int b=0;b<32;b++){W[i][b]=w_[i];M[i][b]=0.0;}
  for(int i=0;i<2;i++)for(int b=0;b<32;b++)E[i][b]=sigma*((i&1)?1:-1);
  for(long t=0;t<T;t+=2){

    for(int q=0;q<1;q++){
     _Alignas(64) u64 U1[32],U2[32];
     XO(U1) XO(U2)
     for(int b=0;b<32;b++) BM(b,E[2*q],E[2*q+1])
    }

    for(int b=0;b<32;b++){
      double w0=W[0][b]; double w1=W[1][b];
      const double e0=E[0][b];
      const double x0 = -1 + w0*w0 + w1*w1;
      const double x1 = x0*(w0 + 2);
      const double g0 = e0*w0 + w0*x1 + (1.0/4.0)*(x0*x0);
      const double g1 = e0*w1 + w1*x1;
      const double m0 = 0.9*M[0][b] + g0;
      const double m1 = 0.9*M[1][b] + g1;
      w0 -= alpha*m0;
      w1 -= alpha*m1;
      W[0][b]=w0; W[1][b]=w1; M[0][b]=m0; M[1][b]=m1;
    }

    for(int b=0;b<32;b++){
      double w0=W[0][b]; double w1=W[1][b];
      const double e0=E[1][b];
      const double x0 = -1 + w0*w0 + w1*w1;
      const double x1 = x0*(w0 + 2);
      const double g0 = e0*w0 + w0*x1 + (1.0/4.0)*(x0*x0);
      const double g1 = e0*w1 + w1*x1;
      const double m0 = 0.9*M[0][b] + g0;
      const double m1 = 0.9*M[1][b] + g1;
      w0 -= alpha*m0;
      w1 -= alpha*m1;
      W[0][b]=w0; W[1][b]=w1; M[0][b]=m0; M[1][b]=m1;
    }
  
  }
  for(int b=0;b<32 && p+b<P;b++){ out[(p+b)*2+0]=W[0][b]; out[(p+b)*2+1]=W[1][b]; }
 } }
#undef XO
