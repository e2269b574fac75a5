#include "daemon/facts.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fail.h"
#include "daemon/bus_path.h"
#include "io/resolve.h"

static void find_fqdn(struct facts *f) {
        struct addrinfo *found = NULL, hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_DGRAM};
        snprintf(f->fqdn, sizeof f->fqdn, "%s", f->host_name);
        if (strchr(f->host_name, '.') || getaddrinfo(f->host_name, NULL, &hints, &found))
                return;
        if (found->ai_canonname && strchr(found->ai_canonname, '.'))
                snprintf(f->fqdn, sizeof f->fqdn, "%s", found->ai_canonname);
        freeaddrinfo(found);
}

static void find_host_name(struct facts *f, const struct global_settings *global) {
        if (gethostname(f->host_name, sizeof f->host_name) || f->host_name[0] == '\0')
                snprintf(f->host_name, sizeof f->host_name, "localhost");
        f->host_name[sizeof f->host_name - 1] = '\0';
        /* A name server that does not answer holds up the start, so it is asked only where its answer is shown. */
        if (global->preserves_fqdn || global->uses_dns)
                find_fqdn(f);
        else
                memcpy(f->fqdn, f->host_name, sizeof f->fqdn);
        if (global->local_host_name)
                snprintf(f->host_name, sizeof f->host_name, "%s", global->local_host_name);
        else if (global->preserves_fqdn)
                memcpy(f->host_name, f->fqdn, sizeof f->host_name);
        else
                f->host_name[strcspn(f->host_name, ".")] = '\0';
}

/* All lines of $AllowedSender for a protocol are one list. */
static int collect_allowed(struct strings *ret, const struct allowed_senders *lists, const char *protocol) {
        size_t count = 0;
        for (const struct allowed_senders *list = lists; list; list = list->next)
                count += strcmp(list->protocol, protocol) == 0 ? list->senders.count : 0;
        if (count == 0)
                return 0;
        ret->items = calloc(count, sizeof *ret->items);
        if (!ret->items)
                return fail(-ENOMEM);
        for (const struct allowed_senders *list = lists; list; list = list->next)
                for (size_t i = 0; i < list->senders.count && strcmp(list->protocol, protocol) == 0; i++)
                        ret->items[ret->count++] = list->senders.items[i];
        return 0;
}

static int collect_rulesets(struct strings *ret, const struct ruleset_def *rulesets) {
        size_t count = 0;
        for (const struct ruleset_def *def = rulesets; def; def = def->next)
                count++;
        ret->items = calloc(count + 1, sizeof *ret->items);
        if (!ret->items)
                return fail(-ENOMEM);
        for (const struct ruleset_def *def = rulesets; def; def = def->next)
                ret->items[ret->count++] = (char *)def->name;
        return 0;
}

static char *member(const struct definition *d, const char *name) {
        for (const struct assignment *a = d->assignments; a; a = a->next)
                if (text_equal_nocase(a->name, text_of(name)) && a->count)
                        return (char *)a->items[0].data;
        return NULL;
}

static int collect_zones(struct strings *ret, const struct definition *definitions) {
        size_t count = 0;
        for (const struct definition *d = definitions; d; d = d->next)
                count += strcmp(d->kind, "timezone") == 0 ? 2 : 0;
        if (count == 0)
                return 0;
        ret->items = calloc(count, sizeof *ret->items);
        if (!ret->items)
                return fail(-ENOMEM);
        for (const struct definition *d = definitions; d; d = d->next) {
                char *id = member(d, "id"), *offset = member(d, "offset");
                if (strcmp(d->kind, "timezone") != 0 || !id || !offset)
                        continue;
                ret->items[ret->count++] = id;
                ret->items[ret->count++] = offset;
        }
        return 0;
}

int facts_init(struct facts *f, const struct config *config, bool is_checking) {
        const struct global_settings *global = config->global;
        static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6};
        struct rlimit files = {.rlim_cur = 1024};
        *f = (struct facts){0};
        int r = collect_allowed(&f->allowed_udp, config->allowed_senders, "UDP");
        if (r == 0)
                r = collect_allowed(&f->allowed_tcp, config->allowed_senders, "TCP");
        if (r == 0)
                r = collect_rulesets(&f->rulesets, config->rulesets);
        if (r == 0)
                r = collect_zones(&f->zones, config->definitions);
        if (r)
                return pass(r);
        f->netstream = (struct netstream_defaults){
                .driver = global->tls_driver,
                .ca_file = global->tls_ca_file,
                .ca_extra_files = global->tls_ca_extra_files,
                .crl_file = global->tls_crl_file,
                .key_file = global->tls_key_file,
                .cert_file = global->tls_cert_file,
        };
        find_host_name(f, global);
        bool is_asked_for;
        bus_path(f->bus_socket, sizeof f->bus_socket, global, &is_asked_for);
        getrlimit(RLIMIT_NOFILE, &files);
        f->host = (struct host_facts){
                .host_name = f->host_name,
                .fqdn = f->fqdn,
                .work_directory = global->work_directory ? global->work_directory : "",
                .message_bytes_max = global->message_bytes_max,
                .open_files_max = (int64_t)files.rlim_cur,
                .bus_socket = f->bus_socket,
                .is_checking = is_checking,
                .secure_defaults = global->secure_defaults > 0,
                .control_prefix = global->control_prefix ? (unsigned char)global->control_prefix[0] : '#',
                .drops_trailing_lf = global->drops_trailing_lf,
                .drops_trailing_cr = global->drops_trailing_cr,
                .expands_compressed = global->supports_compression,
                .escapes_control = global->escapes_control,
                .spaces_lf = global->spaces_lf,
                .escapes_8bit = global->escapes_8bit,
                .escapes_tab = global->escapes_tab,
                .escapes_c_style = global->escapes_c_style,
                .parses_host_and_tag = global->parses_host_and_tag,
                .permits_slash_in_program = global->permits_slash_in_program,
                .preserves_fqdn = global->preserves_fqdn,
                .ip_family = families[global->ip_protocol],
                .allowed_udp = f->allowed_udp.count ? &f->allowed_udp : NULL,
                .allowed_tcp = f->allowed_tcp.count ? &f->allowed_tcp : NULL,
                .rulesets = &f->rulesets,
                .zones = f->zones.count ? &f->zones : NULL,
                .netstream = &f->netstream,
                .exit_reports = (enum exit_reports)global->child_exit_reports,
                .oversize_mode = (enum oversize_mode)global->oversize_mode,
                .oversize_is_reported = global->oversize_is_reported,
                .oversize_error_file = global->oversize_error_file,
        };
        const char *domain = strchr(f->fqdn, '.');
        resolve_configure(&(struct resolve_rules){.is_enabled = global->uses_dns,
                                                  .keeps_domain = global->preserves_fqdn,
                                                  .local_domain = domain ? domain + 1 : "",
                                                  .ttl_s = global->dns_cache_expires ? global->dns_cache_ttl_s : 0});
        return 0;
}

void facts_fini(struct facts *f) {
        free(f->allowed_udp.items);
        free(f->allowed_tcp.items);
        free(f->rulesets.items);
        free(f->zones.items);
        *f = (struct facts){0};
}
