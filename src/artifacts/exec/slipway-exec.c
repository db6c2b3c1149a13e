/*
 * Does for a container of runc's what `runc exec` and `runc start` do, in a fraction of their time, as
 * there is no language runtime to start and no seccomp filter to compile.
 *
 *   slipway-exec run PLAN LOG                        the command, in the foreground
 *   slipway-exec filter PID START-TIME DEPTH FILE    saves the seccomp filter of a process
 *   slipway-exec hold                                is there until its standard input ends
 *   slipway-exec start STATE PID START-TIME          lets a created container of runc's begin
 *   slipway-exec check                               whether this kernel allows all of it
 *   slipway-exec check PROFILE                       the same of AppArmor labels, by this profile
 *   slipway-exec label                               prints its own AppArmor label
 *   slipway-exec x32                                 whether it answers x32 calls: status 0, or 1
 *
 * PLAN is a file of pairs NAME\0VALUE\0 (see `take`), on a file system of the host that only root
 * reads. The exit status is the command's, 128 + n for signal n. What fails before the command
 * begins is an error in LOG, one JSON object per line as OCI runtimes write them.
 *
 *   run ──fork──▶ joins control groups and namespaces ──clone(CLONE_PARENT)──▶ becomes the command
 *    │ waits in the host's PID and mount namespace        │ ends                  │ no descriptor of
 *    └──────────────────── exit status ◀──────────────────┴───────────────────────┘ the host's
 *
 * What a hostile container could do meanwhile, and what is done about it:
 * - write to this program through /proc/PID/exe (CVE-2019-5736): the process cannot be dumped, and
 *   the daemon starts it from a sealed file in memory;
 * - use a descriptor of the host's (CVE-2024-21626): all but the streams, which are pipes of this
 *   command alone, are closed as soon as the process can be seen, and the working directory must be
 *   inside;
 * - trace it while it holds rights that the command will not have (CVE-2016-9962): as above;
 * - make it read without end: of the container's files it reads only /etc/passwd, without blocking,
 *   a megabyte at most. A file system of the container's that hangs holds up that one command, as
 *   it does under runc.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/limits.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif

enum {
  EXIT_OURS = 255, /* as runc; the log tells it from a command's own */
  PLAN_BYTES_MAX = 8 << 20,
  LIST_MAX = 65536,
  CGROUPS_MAX = 64,
  GROUPS_MAX = 1024,
  RLIMITS_MAX = 32,
  PASSWD_BYTES_MAX = 1 << 20,
  MESSAGE_BYTES_MAX = 2048,
  FILTER_INSTRUCTIONS_MAX = 4096, /* BPF_MAXINSNS */
  STOP_MS_MAX = 1000,
};

/* Capability sets, in the order of the plan's value. */
enum { EFFECTIVE, PERMITTED, INHERITABLE, BOUNDING, AMBIENT, SETS };

struct list {
  char **items; /* ends with NULL */
  size_t count;
};

struct plan {
  pid_t pid;
  unsigned long long start_time;
  const char *cgroups[CGROUPS_MAX];
  size_t cgroup_count;
  uid_t uid;
  gid_t gid;
  gid_t groups[GROUPS_MAX];
  size_t group_count;
  uint64_t capabilities[SETS];
  bool no_new_privileges;
  const char *oom_score_adj;
  struct {
    int resource;
    struct rlimit limit;
  } rlimits[RLIMITS_MAX];
  size_t rlimit_count;
  const char *apparmor;
  const char *seccomp;
  unsigned seccomp_flags;
  const char *keyring;
  const char *cwd;
  struct list env;
  struct list args;
};

/* Where messages go: the log of `run`, a pipe to the process that has the log, standard error. */
static const char *log_path;
static int message_fd = STDERR_FILENO;

static void write_log(const char *text) {
  char line[MESSAGE_BYTES_MAX * 6 + 64];
  size_t length = (size_t)sprintf(line, "{\"level\":\"error\",\"msg\":\"");
  for (; *text != '\0'; text++) {
    unsigned char byte = (unsigned char)*text;
    if (byte == '"' || byte == '\\') length += (size_t)sprintf(line + length, "\\%c", byte);
    else if (byte < 0x20) length += (size_t)sprintf(line + length, "\\u%04x", byte);
    else line[length++] = (char)byte;
  }
  length += (size_t)sprintf(line + length, "\"}\n");
  int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0 || write(fd, line, length) != (ssize_t)length) abort(); /* an end that shows */
  close(fd);
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
  char text[MESSAGE_BYTES_MAX];
  int error = errno;
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  size_t length = strlen(text);
  if (error != 0) snprintf(text + length, sizeof text - length, ": %s", strerror(error));
  if (message_fd < 0) write_log(text);
  else if (write(message_fd, text, strlen(text)) < 0) abort();
  _exit(EXIT_OURS);
}

/* A failure that no system call is the reason of. */
#define refuse(...) (errno = 0, fail(__VA_ARGS__))

static void *allocate(size_t bytes) {
  void *memory = calloc(1, bytes);
  if (memory == NULL) fail("no memory");
  return memory;
}

static unsigned long long number(const char *text, unsigned long long most) {
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value > most)
    refuse("the plan has a bad number: %s", text);
  return value;
}

/* Reads a regular file of at most that many bytes; ends it with a NUL. */
static char *read_file(int fd, size_t most, size_t *length) {
  char *bytes = allocate(most + 1);
  size_t done = 0;
  while (done < most) {
    ssize_t got = read(fd, bytes + done, most - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      free(bytes);
      return NULL;
    }
    if (got == 0) break;
    done += (size_t)got;
  }
  bytes[done] = '\0';
  *length = done;
  return bytes;
}

/* ---- The plan ------------------------------------------------------------------------------- */

static void append(struct list *list, char *item) {
  if (list->items == NULL) list->items = allocate((LIST_MAX + 2) * sizeof *list->items);
  if (list->count >= LIST_MAX) refuse("the plan has too many values");
  list->items[list->count++] = item;
}

static void read_capabilities(struct plan *plan, const char *value) {
  const char *at = value;
  for (int set = 0; set < SETS; set++) {
    char *end;
    errno = 0;
    plan->capabilities[set] = strtoull(at, &end, 16);
    bool is_last = set == SETS - 1;
    if (errno != 0 || end == at || *end != (is_last ? '\0' : ' '))
      refuse("the plan has bad capabilities: %s", value);
    at = end + 1;
  }
}

static void read_rlimit(struct plan *plan, const char *value) {
  unsigned long long resource, soft, hard;
  if (plan->rlimit_count >= RLIMITS_MAX ||
      sscanf(value, "%llu %llu %llu", &resource, &soft, &hard) != 3 || resource >= RLIM_NLIMITS)
    refuse("the plan has a bad limit: %s", value);
  plan->rlimits[plan->rlimit_count].resource = (int)resource;
  plan->rlimits[plan->rlimit_count].limit.rlim_cur = (rlim_t)soft;
  plan->rlimits[plan->rlimit_count++].limit.rlim_max = (rlim_t)hard;
}

static void take(struct plan *plan, const char *name, char *value) {
  if (strcmp(name, "arg") == 0) append(&plan->args, value);
  else if (strcmp(name, "env") == 0) append(&plan->env, value);
  else if (strcmp(name, "pid") == 0) plan->pid = (pid_t)number(value, INT32_MAX);
  else if (strcmp(name, "start-time") == 0) plan->start_time = number(value, UINT64_MAX);
  else if (strcmp(name, "cgroup") == 0) {
    if (plan->cgroup_count >= CGROUPS_MAX) refuse("the plan has too many control groups");
    plan->cgroups[plan->cgroup_count++] = value;
  } else if (strcmp(name, "uid") == 0) plan->uid = (uid_t)number(value, UINT32_MAX - 1);
  else if (strcmp(name, "gid") == 0) plan->gid = (gid_t)number(value, UINT32_MAX - 1);
  else if (strcmp(name, "group") == 0) {
    if (plan->group_count >= GROUPS_MAX)
      refuse("the plan has too many groups");
    plan->groups[plan->group_count++] = (gid_t)number(value, UINT32_MAX - 1);
  } else if (strcmp(name, "capabilities") == 0) read_capabilities(plan, value);
  else if (strcmp(name, "no-new-privileges") == 0) plan->no_new_privileges = true;
  else if (strcmp(name, "oom-score-adj") == 0) plan->oom_score_adj = value;
  else if (strcmp(name, "rlimit") == 0) read_rlimit(plan, value);
  else if (strcmp(name, "apparmor") == 0) plan->apparmor = value;
  else if (strcmp(name, "seccomp") == 0) plan->seccomp = value;
  else if (strcmp(name, "seccomp-flags") == 0)
    plan->seccomp_flags = (unsigned)number(value, UINT32_MAX);
  else if (strcmp(name, "keyring") == 0) plan->keyring = value;
  else if (strcmp(name, "cwd") == 0) plan->cwd = value;
  else refuse("the plan has an unknown name: %s", name);
}

static void read_plan(const char *path, struct plan *plan) {
  size_t length;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) fail("open %s", path);
  char *bytes = read_file(fd, PLAN_BYTES_MAX, &length);
  if (bytes == NULL) fail("read %s", path);
  close(fd);
  if (length == 0 || length == PLAN_BYTES_MAX || bytes[length - 1] != '\0')
    refuse("the plan is cut off");
  for (char *at = bytes; at < bytes + length;) {
    char *value = at + strlen(at) + 1;
    if (value >= bytes + length) refuse("the plan is cut off");
    take(plan, at, value);
    at = value + strlen(value) + 1;
  }
  if (plan->pid == 0 || plan->cwd == NULL || plan->args.count == 0)
    refuse("the plan lacks pid, cwd or arg");
}

/* ---- The container ---------------------------------------------------------------------------- */

/* Field 22 of /proc/PID/stat; 0 when there is no such process. */
static unsigned long long start_time_of(pid_t pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return 0;
  text[length] = '\0';
  char *at = strrchr(text, ')');
  for (int field = 2; at != NULL && field < 22; field++) at = strchr(at + 1, ' ');
  return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

/* A handle that stays this process's, whoever gets its pid later. */
static int open_process(pid_t pid, unsigned long long start_time) {
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) fail("the container's process %d", (int)pid);
  if (start_time_of(pid) != start_time) refuse("the container's process %d has ended", (int)pid);
  return fd;
}

struct filter {
  struct sock_filter *instructions;
  unsigned short count;
};

static struct filter load_filter(const char *path) {
  size_t length;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) fail("open %s", path);
  size_t most = FILTER_INSTRUCTIONS_MAX * sizeof(struct sock_filter);
  char *bytes = read_file(fd, most, &length);
  if (bytes == NULL) fail("read %s", path);
  close(fd);
  if (length == 0 || length % sizeof(struct sock_filter) != 0) refuse("%s is no filter", path);
  return (struct filter){(struct sock_filter *)bytes,
                         (unsigned short)(length / sizeof(struct sock_filter))};
}

static void apply_filter(struct filter filter, unsigned flags) {
  struct sock_fprog program = {.len = filter.count, .filter = filter.instructions};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) != 0) fail("seccomp");
}

/* ---- The command's process: in the container, and seen by it ---------------------------------- */

/* The home of a user, as /etc/passwd of the container has it. */
static const char *home_of(uid_t uid) {
  struct stat found;
  size_t length;
  int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return "/";
  char *text = fstat(fd, &found) == 0 && S_ISREG(found.st_mode)
                   ? read_file(fd, PASSWD_BYTES_MAX, &length)
                   : NULL;
  close(fd);
  for (char *rest = text, *line; rest != NULL && (line = strsep(&rest, "\n")) != NULL;) {
    char *fields[7] = {0};
    for (int field = 0; field < 7; field++) fields[field] = strsep(&line, ":");
    if (fields[5] == NULL || fields[2] == NULL || *fields[2] < '0' || *fields[2] > '9') continue;
    char *end;
    if (strtoull(fields[2], &end, 10) == uid && *end == '\0')
      return *fields[5] == '\0' ? "/" : fields[5];
  }
  return "/";
}

static const char *variable(const struct list *env, const char *name) {
  size_t length = strlen(name);
  for (size_t index = 0; index < env->count; index++)
    if (strncmp(env->items[index], name, length) == 0 && env->items[index][length] == '=')
      return env->items[index] + length + 1;
  return NULL;
}

static void set_home(struct plan *plan) {
  const char *set = variable(&plan->env, "HOME");
  if (set != NULL && *set != '\0') return;
  const char *home = home_of(plan->uid);
  char *entry = allocate(strlen(home) + sizeof "HOME=");
  sprintf(entry, "HOME=%s", home);
  for (size_t index = 0; set != NULL && index < plan->env.count; index++) {
    if (strcmp(plan->env.items[index], "HOME=") != 0) continue;
    plan->env.items[index] = entry;
    return;
  }
  append(&plan->env, entry);
}

static bool is_program(const char *path) {
  struct stat found;
  if (stat(path, &found) != 0) return false;
  if (S_ISDIR(found.st_mode)) {
    errno = EISDIR;
    return false;
  }
  return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

/* Where the command is: itself when it has a slash, else the first in PATH. */
static const char *find_program(const struct plan *plan) {
  const char *name = plan->args.items[0];
  if (strchr(name, '/') != NULL) {
    if (!is_program(name)) fail("exec: \"%s\"", name);
    return name;
  }
  const char *path = variable(&plan->env, "PATH");
  size_t length = strlen(name);
  while (length > 0 && path != NULL && *path != '\0') {
    size_t folder = strcspn(path, ":");
    char *candidate = allocate(folder + length + 2);
    sprintf(candidate, "%.*s/%s", (int)folder, path, name);
    /* A relative one would depend on the working directory, which is the container's. */
    if (*path == '/' && is_program(candidate)) return candidate;
    free(candidate);
    path += folder + (path[folder] == ':');
  }
  refuse("exec: \"%s\": executable file not found in $PATH", name);
}

static void drop_bounding(uint64_t kept) {
  for (int capability = 0; capability < 64; capability++) {
    if ((kept & (1ULL << capability)) != 0) continue;
    if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) < 0) return; /* beyond the kernel's last */
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) fail("drop capability %d", capability);
  }
}

static void set_capabilities(const uint64_t *sets) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {0};
  for (int half = 0; half < 2; half++) {
    data[half].effective = (uint32_t)(sets[EFFECTIVE] >> (32 * half));
    data[half].permitted = (uint32_t)(sets[PERMITTED] >> (32 * half));
    data[half].inheritable = (uint32_t)(sets[INHERITABLE] >> (32 * half));
  }
  if (syscall(SYS_capset, &header, data) != 0) fail("set capabilities");
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) fail("ambient capabilities");
  for (int capability = 0; capability < 64; capability++)
    if ((sets[AMBIENT] & (1ULL << capability)) != 0 &&
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
      fail("raise ambient capability %d", capability);
}

/* So that the user can open its own streams again (/dev/stdout), as runc does. */
static void own_streams(const struct plan *plan) {
  for (int fd = 0; fd < 3; fd++) {
    struct stat found;
    if (fstat(fd, &found) != 0) fail("stream %d", fd);
    if (S_ISCHR(found.st_mode) && found.st_rdev == makedev(1, 3)) continue; /* /dev/null */
    if (found.st_uid == plan->uid) continue;
    if (fchown(fd, plan->uid, found.st_gid) != 0 && errno != EPERM && errno != EINVAL &&
        errno != EROFS)
      fail("stream %d", fd);
  }
}

static void become_user(const struct plan *plan) {
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) fail("keep capabilities");
  own_streams(plan);
  if (setgroups(plan->group_count, plan->groups) != 0) fail("set groups");
  if (setgid(plan->gid) != 0) fail("set gid %u", plan->gid);
  if (setuid(plan->uid) != 0) fail("set uid %u", plan->uid);
  if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) fail("keep capabilities");
}

/* The kernel says so when a process is outside of what it sees as its root (CVE-2024-21626). */
static void check_inside(void) {
  char path[PATH_MAX];
  long length = syscall(SYS_getcwd, path, sizeof path);
  if (length < 0 && errno != ERANGE) fail("working directory");
  if (length > 0 && path[0] != '/') refuse("the working directory is outside of the container");
}

__attribute__((noreturn)) static void become_command(struct plan *plan, struct filter filter) {
  if (setsid() < 0) fail("setsid");
  umask(022); /* as the container's first process */
  if (plan->keyring != NULL &&
      syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, plan->keyring) < 0 && errno != ENOSYS)
    fail("join the session keyring");
  for (size_t index = 0; index < plan->rlimit_count; index++)
    if (setrlimit(plan->rlimits[index].resource, &plan->rlimits[index].limit) != 0)
      fail("set limit %d", plan->rlimits[index].resource);
  if (plan->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    fail("no new privileges");
  set_home(plan);
  /* Without no_new_privs a filter needs a capability; with it, it comes as late as possible. */
  if (filter.count > 0 && !plan->no_new_privileges) apply_filter(filter, plan->seccomp_flags);
  drop_bounding(plan->capabilities[BOUNDING]);
  /* As root, then as the user: either may be kept out. */
  bool is_there = chdir(plan->cwd) == 0;
  if (!is_there && errno != EACCES && errno != EPERM) fail("chdir %s", plan->cwd);
  become_user(plan);
  if (!is_there && chdir(plan->cwd) != 0) fail("chdir %s", plan->cwd);
  check_inside();
  set_capabilities(plan->capabilities);
  const char *program = find_program(plan);
  if (filter.count > 0 && plan->no_new_privileges) apply_filter(filter, plan->seccomp_flags);
  char *none[] = {NULL};
  execve(program, plan->args.items, plan->env.count == 0 ? none : plan->env.items);
  fail("exec: \"%s\"", program);
}

/* ---- The way in ------------------------------------------------------------------------------- */

static void write_own(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) fail("open %s", path);
  size_t length = strlen(text);
  if (write(fd, text, length) != (ssize_t)length) fail("write %s", path);
  close(fd);
}

/* In the host's mount namespace still, with its paths: 0 is the process that writes. */
static void join_cgroups(const struct plan *plan) {
  for (size_t index = 0; index < plan->cgroup_count; index++)
    write_own(plan->cgroups[index], "0");
  if (plan->oom_score_adj != NULL) write_own("/proc/self/oom_score_adj", plan->oom_score_adj);
  /* Not the processors that the daemon is kept to; those of a cpuset stay the limit. */
  cpu_set_t all;
  memset(&all, 0xff, sizeof all);
  sched_setaffinity(0, sizeof all, &all);
}

/* Where the kernel has AppArmor beside other modules (5.8), its own folder; else the one for all. */
static const char *label_file(bool is_next) {
  const char *own = is_next ? "/proc/self/attr/apparmor/exec" : "/proc/self/attr/apparmor/current";
  if (access(own, F_OK) == 0) return own;
  return is_next ? "/proc/self/attr/exec" : "/proc/self/attr/current";
}

/*
 * The label of the next program that this process, or a child of its, becomes: the kernel hands it
 * down at a fork (apparmor_task_alloc). Set where /proc is the host's: in the container anything may
 * lie there (CVE-2019-16884).
 */
static void label_next(const char *profile) {
  char text[PATH_MAX];
  if (snprintf(text, sizeof text, "exec %s", profile) >= (int)sizeof text) refuse("long label");
  write_own(label_file(true), text);
}

__attribute__((noreturn)) static void enter(struct plan *plan, int process, struct filter filter) {
  join_cgroups(plan);
  if (plan->apparmor != NULL) label_next(plan->apparmor);
  int namespaces = CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS;
  if (access("/proc/self/ns/cgroup", F_OK) == 0) namespaces |= CLONE_NEWCGROUP;
  if (setns(process, namespaces) != 0) fail("join the container's namespaces");
  /* From here on only the streams and the way back for messages. */
  if (message_fd != 3 && dup3(message_fd, 3, O_CLOEXEC) < 0) fail("dup3");
  message_fd = 3;
  if (syscall(SYS_close_range, 4U, ~0U, 0U) != 0) fail("close descriptors");
  long command = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
  if (command < 0) fail("fork");
  if (command == 0) become_command(plan, filter);
  _exit(0);
}

static int status_of(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run(const char *path, const char *log) {
  static struct plan plan;
  log_path = log;
  message_fd = -1;
  read_plan(path, &plan);
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) fail("pipe");
  pid_t way_in = fork();
  if (way_in < 0) fail("fork");
  if (way_in == 0) {
    message_fd = pipe_fds[1];
    struct filter filter = {0};
    if (plan.seccomp != NULL) filter = load_filter(plan.seccomp);
    enter(&plan, open_process(plan.pid, plan.start_time), filter);
  }
  close(pipe_fds[1]);
  char message[MESSAGE_BYTES_MAX + 1];
  size_t length = 0;
  for (ssize_t got = 1; got != 0 && length < MESSAGE_BYTES_MAX;) {
    got = read(pipe_fds[0], message + length, MESSAGE_BYTES_MAX - length);
    if (got < 0 && errno != EINTR) break;
    if (got > 0) length += (size_t)got;
  }
  message[length] = '\0';
  int result = EXIT_OURS;
  bool has_command = false;
  for (;;) {
    int status;
    pid_t ended = waitpid(-1, &status, 0);
    if (ended < 0 && errno == EINTR) continue;
    if (ended < 0) break;
    if (ended == way_in && (status == 0 || has_command)) continue;
    has_command = ended != way_in;
    result = status_of(status);
  }
  if (length > 0) {
    write_log(message);
    return EXIT_OURS;
  }
  /* Killed on its way: by its memory limit, or with the container. */
  if (!has_command) write_log("the command was killed before it began");
  return result;
}

/* ---- The filter of a process ------------------------------------------------------------------ */

static bool wait_until_stopped(pid_t pid) {
  const struct timespec moment = {.tv_nsec = 1000000};
  for (int waited_ms = 0; waited_ms < STOP_MS_MAX; waited_ms++) {
    int status;
    pid_t found = waitpid(pid, &status, WNOHANG | __WALL);
    if (found == pid) return WIFSTOPPED(status);
    if (found < 0 && errno != EINTR) return false;
    nanosleep(&moment, NULL);
  }
  errno = ETIMEDOUT;
  return false;
}

/*
 * Copies a filter that the kernel has for a process, as it was installed: what the OCI runtime made
 * of a profile, with whatever it adds to it. `depth` counts from the oldest, 0. The process stands
 * still meanwhile: it is one that does `hold`, never a container's own.
 */
static void save_filter(pid_t pid, unsigned long long start_time, unsigned long depth,
                        const char *path) {
  struct sock_filter *instructions = allocate(FILTER_INSTRUCTIONS_MAX * sizeof *instructions);
  int process = open_process(pid, start_time);
  if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0) fail("trace process %d", (int)pid);
  if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0 || !wait_until_stopped(pid))
    fail("stop process %d", (int)pid);
  long count = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, (void *)depth, instructions);
  int error = errno;
  ptrace(PTRACE_DETACH, pid, NULL, NULL);
  errno = error;
  if (count <= 0 || count > FILTER_INSTRUCTIONS_MAX)
    fail("filter %lu of process %d", depth, (int)pid);
  if (start_time_of(pid) != start_time) refuse("process %d has ended", (int)pid);
  close(process);
  if (path == NULL) return;
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  size_t length = (size_t)count * sizeof *instructions;
  if (fd < 0 || write(fd, instructions, length) != (ssize_t)length || close(fd) != 0)
    fail("write %s", path);
}

/* Says that it is there, and ends with its standard input; whatever a filter forbids ends it. */
static int hold(void) {
  char byte;
  if (write(STDOUT_FILENO, "", 1) != 1) return EXIT_OURS;
  return read(STDIN_FILENO, &byte, 1) == 0 ? 0 : EXIT_OURS;
}

/*
 * What `runc start` does (runc 1.0 to 1.5, Container.Exec): the container's first process waits until
 * somebody opens exec.fifo in its state for reading, writes one byte, closes the file and executes
 * the user's program. The file is removed then, which is how runc knows that the container runs. As
 * with runc, a process that has met this one must not be left alone before its word has come: it
 * would die of the broken pipe. So this one waits as long as the other lives.
 */
static int start(const char *state, pid_t pid, unsigned long long start_time) {
  char path[PATH_MAX], bytes[16];
  struct stat found;
  bool came = false;
  int process = open_process(pid, start_time);
  if (snprintf(path, sizeof path, "%s/exec.fifo", state) >= (int)sizeof path) refuse("long path");
  int fifo = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
  if (fifo < 0) fail("open %s", path);
  if (fstat(fifo, &found) != 0 || !S_ISFIFO(found.st_mode)) refuse("%s is no FIFO", path);
  struct pollfd events[] = {{.fd = fifo, .events = POLLIN}, {.fd = process, .events = POLLIN}};
  for (;;) {
    if (poll(events, 2, -1) < 0) fail("wait for process %d", (int)pid);
    ssize_t length = events[0].revents == 0 ? -1 : read(fifo, bytes, sizeof bytes);
    if (length > 0) came = true;
    else if (length == 0 || events[1].revents != 0) break; /* it has closed the file, or is dead */
  }
  if (!came) refuse("the container's process %d did not come", (int)pid);
  if (unlink(path) != 0 && errno != ENOENT) fail("remove %s", path);
  return 0;
}

/* Does on a child of its own what the others do. */
static int check(void) {
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) fail("pipe");
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    apply_filter((struct filter){&allow, 1}, 0);
    if (write(ready[1], "", 1) != 1) _exit(EXIT_OURS);
    for (;;) pause();
  }
  char byte;
  if (read(ready[0], &byte, 1) != 1) fail("no filter can be installed");
  int process = open_process(child, start_time_of(child));
  if (setns(process, CLONE_NEWIPC | CLONE_NEWUTS) != 0) fail("join namespaces by pidfd");
  save_filter(child, start_time_of(child), 0, NULL);
  if (syscall(SYS_close_range, 100U, ~0U, 0U) != 0) fail("close_range");
  kill(child, SIGKILL);
  return 0;
}

/* The name without the mode, as `slipway-default (enforce)` has one. */
static int label(void) {
  size_t length;
  int fd = open(label_file(false), O_RDONLY | O_CLOEXEC);
  char *text = fd < 0 ? NULL : read_file(fd, PATH_MAX, &length);
  if (text == NULL) fail("read the label");
  printf("%.*s", (int)strcspn(text, " \n"), text);
  return 0;
}

/* Whether a child's program has the label that its parent was given, which `run` relies on. */
static int check_label(const char *profile) {
  int ends[2], status;
  char found[PATH_MAX + 1];
  size_t length;
  if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
  pid_t parent = fork();
  if (parent < 0) fail("fork");
  if (parent == 0) {
    label_next(profile);
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
      if (dup2(ends[1], STDOUT_FILENO) < 0) fail("dup2");
      execl("/proc/self/exe", "slipway-exec", "label", NULL);
      fail("exec under %s", profile);
    }
    _exit(waitpid(child, &status, 0) == child && status == 0 ? 0 : EXIT_OURS);
  }
  close(ends[1]);
  char *text = read_file(ends[0], sizeof found - 1, &length);
  if (waitpid(parent, &status, 0) != parent || status != 0 || text == NULL)
    refuse("a label cannot be set");
  if (strcmp(text, profile) != 0) refuse("the label is \"%s\" in place of \"%s\"", text, profile);
  return 0;
}

/* Asks for the process's number by the ABI of 32-bit pointers (x86-64 psABI, appendix A). */
static int x32(void) {
#ifdef __x86_64__
  return syscall(0x40000000 | SYS_getpid) == -1 && errno == ENOSYS ? 1 : 0;
#else
  return 1;
#endif
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "hold") == 0) return hold();
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) fail("dumpable");
  if (syscall(SYS_close_range, 3U, ~0U, 0U) != 0) fail("close descriptors");
  if (argc == 4 && strcmp(argv[1], "run") == 0) return run(argv[2], argv[3]);
  if (argc == 6 && strcmp(argv[1], "filter") == 0) {
    save_filter((pid_t)number(argv[2], INT32_MAX), number(argv[3], UINT64_MAX),
                (unsigned long)number(argv[4], 1024), argv[5]);
    return 0;
  }
  if (argc == 5 && strcmp(argv[1], "start") == 0)
    return start(argv[2], (pid_t)number(argv[3], INT32_MAX), number(argv[4], UINT64_MAX));
  if (argc == 2 && strcmp(argv[1], "check") == 0) return check();
  if (argc == 3 && strcmp(argv[1], "check") == 0) return check_label(argv[2]);
  if (argc == 2 && strcmp(argv[1], "label") == 0) return label();
  if (argc == 2 && strcmp(argv[1], "x32") == 0) return x32();
  if (argc == 2 && strcmp(argv[1], "--version") == 0) {
    printf("slipway-exec %s\n", VERSION);
    return 0;
  }
  fputs("usage: slipway-exec run PLAN LOG | filter PID START-TIME DEPTH FILE | hold |"
        " start STATE PID START-TIME | check [PROFILE] | label | x32 | --version\n",
        stderr);
  return 2;
}
