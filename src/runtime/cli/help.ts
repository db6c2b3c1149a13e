export const HELP = `slipway-cri: a container runtime for Kubernetes (CRI v1)

The daemon
  slipway-cri [--config FILE]   run in the foreground until SIGTERM; SIGHUP reads FILE anew
    --listen unix:///PATH       --root DIR               --state DIR
    --cni-conf-dir DIR          --cni-bin-dir DIR ...    --registries-conf FILE
    --runtime PATH              --conmon PATH            --cgroup-manager systemd|cgroupfs
    --log-level debug|info|warn|error
  slipway-cri config            what it would run with, as a file
  slipway-cri config --default  every key with its default and meaning
  slipway-cri --version

Commands for a daemon that runs; ID is any unique beginning
  info                          version, conditions, configuration
  pods                          pod sandboxes
  ps [-a]                       running containers, or all
  images                        images
  stats                         CPU, memory and disk of containers
  inspect ID|IMAGE              all about a container, pod or image, as JSON
  logs [-f] [--tail N] [--timestamps] ID
  exec ID COMMAND [ARG ...]     run a command in a container (no terminal: use kubectl exec -it)
  pull IMAGE ...                fetch images
  image import FILE|- [--name NAME]
                                load an OCI or docker-save archive
  image remove IMAGE ...
  stop ID ...                   stop containers or pods, within --timeout seconds (10)
  rm ID ...                     remove containers or pods, running ones too
  smoke start|finish --image IMAGE
                                prove the daemon with a pod; restart it in between if you like
  reset                         remove all pods and containers

Options of these commands
  --socket PATH                 where the daemon listens (default: as configured)
  --timeout SECONDS             give up after this time
  -o, --output text|json        of info, pods, ps, images, stats

Examples
  slipway-cri ps -a
  slipway-cri logs -f --tail 20 4f1c
  slipway-cri exec 4f1c cat /etc/resolv.conf
  ssh host slipway-cri image import - < images.tar
  slipway-cri images -o json

Exit codes: 0 done, 2 usage, 10 configuration, 12 no daemon answers, 13 something is missing,
15 the daemon refused or failed, 21 the socket is in use, 130 interrupted; exec: the command's own.
`;
