#include "module/child.h"

#include <sys/wait.h>

#include "base/reporter.h"

void child_report_end(struct module_log *log, const struct host_facts *facts, const char *program, long pid,
                      int status) {
        bool is_fine = status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (facts->exit_reports == EXITS_NONE || (is_fine && facts->exit_reports == EXITS_ERRORS))
                return;
        if (status < 0)
                module_report(log, SEVERITY_WARNING, 0, "program '%s' (pid %ld) exited, its status is unknown", program,
                              pid);
        else if (WIFSIGNALED(status))
                module_report(log, SEVERITY_WARNING, 0, "program '%s' (pid %ld) terminated by signal %d", program, pid,
                              WTERMSIG(status));
        else
                module_report(log, is_fine ? SEVERITY_INFO : SEVERITY_WARNING, 0,
                              "program '%s' (pid %ld) exited with status %d", program, pid, WEXITSTATUS(status));
}
