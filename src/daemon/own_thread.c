#include "daemon/own_thread.h"

#include "base/fail.h"

static void *thread_main(void *argument) {
        loop_run(argument);
        return NULL;
}

int own_thread_start(struct own_thread *t) {
        _owned_(loop_free) struct loop *loop = NULL;
        int r = loop_new(&loop);
        if (r)
                return pass(r);
        r = pthread_create(&t->thread, NULL, thread_main, loop);
        if (r)
                return fail(-r);
        t->loop = TAKE(loop);
        return 0;
}

void own_thread_stop(struct own_thread *t) {
        if (!t->loop)
                return;
        loop_stop(t->loop);
        pthread_join(t->thread, NULL);
        t->loop = loop_free(t->loop);
}
