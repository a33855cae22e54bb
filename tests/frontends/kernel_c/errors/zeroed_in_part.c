#include <sys/param.h>
struct thread;
#include <sys/systm.h>
#include <sys/proc.h>
#include <vm/vm.h>
#include <sys/pcpu.h>
#include <machine/cpufunc.h>

void broken(void) { struct invpcid_descr d; d.pcid = 1; bzero(&d, sizeof(d.addr)); invpcid(&d, INVPCID_CTX); }
