#include "ruleset/selections.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/fail.h"

int selections_init(struct selections *s) {
        size_t capacity = (size_t)SELECTIONS_DEPTH_MAX * BATCH_RECORDS_MAX;
        void *base = mmap(NULL, capacity * sizeof *s->base, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED)
                return fail(-errno);
        *s = (struct selections){.base = base, .capacity = capacity};
        return 0;
}

void selections_fini(struct selections *s) {
        if (s->base)
                munmap(s->base, s->capacity * sizeof *s->base);
        *s = (struct selections){0};
}
