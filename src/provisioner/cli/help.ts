/** What `provision help` prints. */
export const HELP = `Usage: provision CLUSTER.yaml [options]      make the hosts a cluster, prove it
       provision COMMAND [CLUSTER.yaml] [options]

Without a cluster file a command takes the lab's, while a lab is up.

  apply          what "provision CLUSTER.yaml" does; a second run changes nothing
  plan           what apply would change, with diffs; changes nothing
  verify         prove the cluster: DNS, Services, pods, NodePorts, logs, exec on every node
  status         hosts and cluster at a glance
  reset          bring the hosts back to what they were before
  validate       check the files, without a network
  kubeconfig     print the administrator's kubeconfig
  kubectl ...    the cluster's kubectl: "provision kubectl [CLUSTER.yaml] get nodes"
  issuers list   every issuer of the cluster: Ready or why not
  issuers test   [NAME]: issue a throw-away certificate, check its chain, delete it
  certs status   every certificate: issuer, expiry, next renewal, last failure and why
  images push    make the images and push them: --registry URL
  artifacts      make every program into the cache, nothing else
  lab            a throw-away lab on this machine, from hosts to proven cluster
  lab COMMAND    up, down, status, ssh, crash, start, reboot, pause, resume, cut, heal

Options:
  -y, --yes                  do not ask before changing hosts
      --dry-run              the same as plan
      --limit NAMES          only these hosts or groups, comma-separated
      --forks N              hosts worked on at the same time (50)
      --deep                 hash every program on the hosts, trust no memo
      --detailed-exitcode    plan ends with 3 when there are changes
      --accept-new-host-keys accept and pin the keys of hosts that nothing knows yet
  -n, --namespace NAME       issuers and certs of one namespace
  -A, --all-namespaces       of all namespaces; that is the default
  -o, --output text|json     json: one event a line (docs/events.md)

Examples:
  provision inventory/sample/cluster.yaml --dry-run
  provision cluster.yaml --yes --output json
  provision cluster.yaml --limit w7
  provision issuers test company-ca
  provision certs status -n web --output json

Exit codes are in docs/errors.md.
`;
