#ifndef _X86_APICVAR_H_
#define	_X86_APICVAR_H_
#define	IPI_INVLTLB	0xe0
#define	IPI_INVLPG	0xe1
#define	IPI_INVLRNG	0xe2
void	ipi_send_cpu(int, u_int);
#endif
