/*
 * The process that holds a pod's namespaces open. As process 1 of a shared PID namespace it also
 * reaps what it inherits. `-v` prints the version and exits 0: `kubeadm upgrade` runs the image
 * with that argument to see whether the cluster can run a Job.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef VERSION
#error "compile with -DVERSION=\"...\""
#endif

static void reap(int signal_number) {
  int saved = errno;
  (void)signal_number;
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
  errno = saved;
}

static void leave(int signal_number) {
  (void)signal_number;
  _exit(0);
}

static int handle(int signal_number, void (*handler)(int)) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_NOCLDSTOP | SA_RESTART;
  return sigaction(signal_number, &action, NULL);
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "-v") == 0) {
    printf("pause %s\n", VERSION);
    return 0;
  }
  if (handle(SIGINT, leave) != 0 || handle(SIGTERM, leave) != 0 || handle(SIGCHLD, reap) != 0) {
    perror("pause: sigaction");
    return 1;
  }
  for (;;) pause();
}
