/*
 * The few words that every file of this tree uses beside C's own.
 *
 * Ownership hangs on the variable: `_owned_(peer_free) struct peer *p` frees p
 * when the scope ends, TAKE(p) moves it out first. Every x_free takes NULL and
 * returns NULL.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define _printf_(at, first) __attribute__((__format__(__printf__, at, first)))
#define _unused_            __attribute__((unused))
#define _must_use_          __attribute__((warn_unused_result))
#define _hot_               __attribute__((hot))

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define ARRAY_SIZE(a)                       (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define MIN_(a, b, x, y)                                                                                               \
        ({                                                                                                             \
                __typeof__(a) x = (a);                                                                                 \
                __typeof__(b) y = (b);                                                                                 \
                x < y ? x : y;                                                                                         \
        })
#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)
/* Each argument once; nests without shadowing. */
#define MIN(a, b)    MIN_(a, b, PASTE(min_a, __COUNTER__), PASTE(min_b, __COUNTER__))
#define MAX_(a, b, x, y)                                                                                               \
        ({                                                                                                             \
                __typeof__(a) x = (a);                                                                                 \
                __typeof__(b) y = (b);                                                                                 \
                x > y ? x : y;                                                                                         \
        })
#define MAX(a, b) MAX_(a, b, PASTE(max_a, __COUNTER__), PASTE(max_b, __COUNTER__))

/* Calls free_function(variable) at the end of the variable's scope. */
#define _owned_(free_function) __attribute__((cleanup(free_function##_owned)))

/* Declares that x_free() can stand in _owned_(). Write it once, after the prototype of x_free. */
#define OWNED_POINTER(type, free_function)                                                                             \
        static inline void free_function##_owned(type **pointer) {                                                     \
                if (*pointer)                                                                                          \
                        free_function(*pointer);                                                                       \
        }                                                                                                              \
        struct owned_pointer_needs_a_semicolon

/* The same for x_fini() of a struct that lives on the stack. */
#define OWNED_VALUE(type, fini_function)                                                                               \
        static inline void fini_function##_owned(type *value) {                                                        \
                fini_function(value);                                                                                  \
        }                                                                                                              \
        struct owned_pointer_needs_a_semicolon

/* Hands on what a variable owns. */
#define TAKE(pointer)                                                                                                  \
        ({                                                                                                             \
                typeof(pointer) _taken = (pointer);                                                                    \
                (pointer) = NULL;                                                                                      \
                _taken;                                                                                                \
        })

void memory_free_owned(void *pointer); /* _owned_(memory_free) char *p: free(p) */
void descriptor_close_owned(int *fd);  /* _owned_(descriptor_close) int fd = -1 */
