#include "module/registry.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fail.h"
#include "module/settings.h"

/* More modules than anyone loads; it bounds what a hostile configuration can open. */
enum { REGISTRY_MODULES_MAX = 256, MODULE_NAME_BYTES_MAX = 4096 };

struct opened {
        char *path;
        void *handle;
        struct module module; /* zeroed beyond the size that the file was built with */
};

struct registry {
        char *module_path; /* directories, separated by ':' */
        struct opened *opened[REGISTRY_MODULES_MAX];
        size_t count;
};

const char *registry_installed_path(void) {
        return PENSTOCK_MODULE_DIRECTORY;
}

const char *registry_default_path(void) {
        const char *path = getenv("RSYSLOG_MODDIR");
        return path ? path : PENSTOCK_MODULE_DIRECTORY;
}

int registry_new(struct registry **ret, const char *module_path) {
        struct registry *registry = calloc(1, sizeof *registry);
        if (!registry)
                return fail(-ENOMEM);
        registry->module_path = text_copy(text_of(module_path));
        if (!registry->module_path) {
                free(registry);
                return fail(-ENOMEM);
        }
        *ret = registry;
        return 0;
}

static struct opened *opened_free(struct opened *o) {
        if (!o)
                return NULL;
        if (o->handle)
                dlclose(o->handle);
        free(o->path);
        free(o);
        return NULL;
}
OWNED_POINTER(struct opened, opened_free);

struct registry *registry_free(struct registry *registry) {
        if (!registry)
                return NULL;
        for (size_t i = 0; i < registry->count; i++)
                opened_free(registry->opened[i]);
        free(registry->module_path);
        free(registry);
        return NULL;
}

bool registry_is_always_loaded(const struct module *module) {
        static const char *const names[] = {"omfile",   "ompipe",    "omfwd",     "omshell",
                                            "omusrmsg", "omdiscard", "pmrfc3164", "pmrfc5424"};
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strcmp(module->name, names[i]) == 0)
                        return true;
        return false;
}

/* "imtcp" of "../plugins/imtcp/.libs/imtcp.so" and of "builtin:imtcp". */
static struct text base_name(struct text name) {
        if (text_starts_nocase(name, TEXT("builtin:")))
                name = text_slice(name, 8, name.size);
        for (size_t i = name.size; i > 0; i--)
                if (name.data[i - 1] == '/') {
                        name = text_slice(name, i, name.size);
                        break;
                }
        if (text_ends(name, TEXT(".so")) || text_ends(name, TEXT(".la")))
                name.size -= 3;
        return name;
}

static const struct module *find_builtin(struct text base) {
        for (const struct module *const *m = registry_builtin(); *m; m++)
                if (text_equal_nocase(base, text_of((*m)->name)))
                        return *m;
        return NULL;
}

static const char *closest_builtin(struct text base) {
        const char *best = NULL;
        unsigned distance = 3;
        for (const struct module *const *m = registry_builtin(); *m; m++) {
                unsigned this_one = text_distance(base, text_of((*m)->name));
                if (this_one < distance) {
                        distance = this_one;
                        best = (*m)->name;
                }
        }
        return best;
}

/* What rsyslog has under these names is not (yet) part of this; "did you mean" would only mislead. */
static bool is_known_elsewhere(struct text base) {
        static const char names[] =
                "im3195 imbatchreport imbeats imczmq imdiag imdocker imdtls imfifo imfile imgssapi imhiredis imhttp "
                "imjournal imkafka imklog imkmsg imkubernetes immark impcap improg impstats imptcp imrelp imsolaris "
                "imtcp "
                "imtuxedoulog imudp imuxsock mmanon mmaudit mmcount mmdarwin mmdblookup mmexternal mmfields mmgrok "
                "mmjsonparse mmjsontransform mmkubernetes mmleefparse mmnormalize mmpstrucdata mmrfc5424addhmac "
                "mmrm1stspace mmsequence mmsnareparse mmsnmptrapd mmtaghostname mmutf8fix omamqp1 omazuredce "
                "omazureeventhubs omawslogshlc omclickhouse omczmq omdiscard omdtls omelasticsearch omfile omfwd "
                "omgssapi omhdfs omhiredis omhttp omhttpfs omjournal omkafka omlibdbi ommail ommongodb ommysql omotel "
                "ompgsql ompipe omprog omrabbitmq omrelp omruleset omsendertrack omshell omsnmp omstdout omtesting "
                "omudpspoof omusrmsg omuxsock pmaixforwardedfrom pmciscoios pmcisconames pmdb2diag pmlastmsg "
                "pmnormalize pmnull pmpanngfw pmrfc3164 pmrfc5424 pmsnare fmfaup fmhash fmhttp fmpcre fmunflatten";
        return param_list_has(names, base);
}

static int check_abi(const struct module *found, const char *path, struct buffer *complaint) {
        if (found->abi != PENSTOCK_MODULE_ABI) {
                buffer_format(complaint, "%s was built for module interface %u, this is %u: build it again", path,
                              found->abi, PENSTOCK_MODULE_ABI);
                return -ENOEXEC;
        }
        if (found->size > sizeof(struct module) || found->size < offsetof(struct module, input)) {
                buffer_format(complaint,
                              "%s was built against another penstock/module.h (%u bytes, here %zu): "
                              "build it again",
                              path, found->size, sizeof(struct module));
                return -ENOEXEC;
        }
        return 0;
}

/* Opens a file that exists. */
static int open_file(struct registry *registry, const char *path, const struct module **ret, struct buffer *complaint) {
        for (size_t i = 0; i < registry->count; i++)
                if (strcmp(registry->opened[i]->path, path) == 0) {
                        *ret = &registry->opened[i]->module;
                        return 0;
                }
        if (registry->count == REGISTRY_MODULES_MAX) {
                buffer_format(complaint, "more than %d modules are loaded from files", REGISTRY_MODULES_MAX);
                return -ENOEXEC;
        }
        _owned_(opened_free) struct opened *o = calloc(1, sizeof *o);
        if (!o || !(o->path = text_copy(text_of(path))))
                return fail(-ENOMEM);
        o->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!o->handle) {
                const char *why = dlerror();
                buffer_format(complaint, "cannot open %s: %s", path, why ? why : "unknown error");
                return -ENOEXEC;
        }
        const struct module *found = dlsym(o->handle, "penstock_module");
        if (!found) {
                buffer_format(complaint, "%s is no Penstock module: it does not export `penstock_module`", path);
                return -ENOEXEC;
        }
        int r = check_abi(found, path, complaint);
        if (r)
                return pass(r);
        memcpy(&o->module, found, found->size);
        *ret = &o->module;
        registry->opened[registry->count++] = TAKE(o);
        return 0;
}

/* Where "x", "x.so" or "x.la" lies as a shared object: path with or without ".so". */
static bool locate(struct buffer *path) {
        struct text whole = buffer_as_text(path);
        if (text_ends(whole, TEXT(".la")))
                path->size -= 3;
        whole = buffer_as_text(path);
        if (!text_ends(whole, TEXT(".so")))
                buffer_text(path, TEXT(".so"));
        return buffer_string(path) && access(path->data, F_OK) == 0;
}

/* Tries each directory of the module path; true when a file was there (*r tells how it went). */
static bool search_path(struct registry *registry, struct text base, const struct module **ret,
                        struct buffer *complaint, struct buffer *tried, int *r) {
        struct text rest = text_of(registry->module_path);
        while (rest.size) {
                const char *colon = memchr(rest.data, ':', rest.size);
                size_t size = colon ? (size_t)(colon - rest.data) : rest.size;
                _owned_(buffer_fini) struct buffer path = {0};
                buffer_text(&path, text_slice(rest, 0, size));
                buffer_byte(&path, '/');
                buffer_text(&path, base);
                if (size && locate(&path)) {
                        *r = open_file(registry, path.data, ret, complaint);
                        return true;
                }
                if (size)
                        buffer_format(tried, "%s%.*s", tried->size ? ", " : "", TEXT_ARGS(buffer_as_text(&path)));
                rest = text_slice(rest, size + 1, rest.size);
        }
        return false;
}

int registry_find(struct registry *registry, struct text name, const struct module **ret, struct buffer *complaint) {
        if (name.size == 0 || name.size > MODULE_NAME_BYTES_MAX || memchr(name.data, '\0', name.size)) {
                buffer_format(complaint, "this is no name of a module");
                return fail(-ENOENT);
        }
        struct text base = base_name(name);
        const struct module *builtin = find_builtin(base);
        _owned_(buffer_fini) struct buffer tried = {0};
        _owned_(buffer_fini) struct buffer trouble = {0};
        int r = 0;

        bool is_builtin_only = text_starts_nocase(name, TEXT("builtin:"));
        if (!is_builtin_only && memchr(name.data, '/', name.size)) {
                _owned_(buffer_fini) struct buffer path = {0};
                buffer_text(&path, name);
                if (locate(&path)) {
                        r = open_file(registry, path.data, ret, &trouble);
                        if (r == 0)
                                return 0;
                } else
                        buffer_text(&tried, buffer_as_text(&path));
        }
        /* A path to another daemon's module names ours: existing files keep their meaning. */
        if (builtin) {
                *ret = builtin;
                return 0;
        }
        if (r == 0 && !is_builtin_only && search_path(registry, base, ret, &trouble, &tried, &r) && r == 0)
                return 0;
        if (r == -ENOMEM)
                return pass(r);
        if (r) {
                buffer_text(complaint, buffer_as_text(&trouble));
                return fail(r);
        }
        buffer_format(complaint, "there is no such module");
        if (tried.size)
                buffer_format(complaint, " (not built in, and not found as %.*s)", TEXT_ARGS(buffer_as_text(&tried)));
        if (is_known_elsewhere(base)) {
                buffer_text(complaint, TEXT("; rsyslog's module of that name is not part of Penstock yet"));
                return fail(-ENOENT);
        }
        const char *closest = closest_builtin(base);
        if (closest)
                buffer_format(complaint, "; did you mean `%s`?", closest);
        return fail(-ENOENT);
}

bool parser_is_called(const struct module *module, struct text name) {
        const struct text prefix = TEXT("rsyslog.");
        const size_t kind_size = 2; /* "pm" */
        if (module->parser && module->parser->name && text_equal_nocase(name, text_of(module->parser->name)))
                return true;
        if (text_equal_nocase(name, text_of(module->name)))
                return true;
        return text_starts_nocase(name, prefix) && strlen(module->name) > kind_size &&
               text_equal_nocase(text_slice(name, prefix.size, name.size), text_of(module->name + kind_size));
}
