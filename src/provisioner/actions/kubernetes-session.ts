import {connectKubernetes} from '#shared/kube/connect';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import {readAdminKubeconfig} from '../phases/admin-kubeconfig.ts';
import type {Connection} from '../transport/connection.ts';
import {openTunnel, type Tunnel} from '../transport/tunnel.ts';

/**
 * The Kubernetes API of one control plane through its own SSH connection: it works wherever SSH
 * does, and whether or not the endpoint's name resolves here. Opened at the first call.
 */
export class KubernetesSession implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #port: number;
  #open: Promise<{readonly api: KubernetesApi; readonly tunnel: Tunnel}> | undefined;

  constructor(connection: Connection, {port}: {readonly port: number}) {
    this.#connection = connection;
    this.#port = port;
  }

  async api({signal}: {readonly signal: AbortSignal}): Promise<KubernetesApi> {
    this.#open ??= this.#connect(signal);
    try {
      return (await this.#open).api;
    } catch (error) {
      this.#open = undefined; // the next caller may have more luck
      throw error;
    }
  }

  async #connect(signal: AbortSignal) {
    const kubeconfig = await readAdminKubeconfig(this.#connection, {signal});
    const tunnel = await openTunnel(this.#connection, this.#port, {signal});
    const server = `https://127.0.0.1:${tunnel.localPort}`;
    try {
      return {api: await connectKubernetes({kubeconfig, server, signal}), tunnel};
    } catch (error) {
      await tunnel[Symbol.asyncDispose](); // it listens, and would keep the program alive
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = await this.#open?.catch(() => undefined); // never opened: nothing to close
    await open?.api[Symbol.asyncDispose]();
    await open?.tunnel[Symbol.asyncDispose]();
  }
}
