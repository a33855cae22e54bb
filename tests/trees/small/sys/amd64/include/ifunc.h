#ifndef _MACHINE_IFUNC_H_
#define	_MACHINE_IFUNC_H_
#define	DEFINE_IFUNC(qual, ret_type, name, args, resolver_qual)		\
    resolver_qual ret_type (*name##_resolver(void))args __used;		\
    qual ret_type name args __attribute__((ifunc(#name "_resolver")));	\
    resolver_qual ret_type (*name##_resolver(void))args
#endif
