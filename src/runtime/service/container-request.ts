import {isAbsolute, join, normalize} from 'node:path';
import type {ContainerConfig, CreateContainerRequest, ImageSpec} from '../cri/gen/cri-v1_pb.ts';
import type {ContainerMetadata} from '../store/container.ts';
import {invalidRequest} from './invalid.ts';
import {refuseCdiDevices} from './unsupported.ts';

/** A CreateContainer whose required parts are there. */
export interface CheckedContainer {
  readonly config: ContainerConfig;
  readonly metadata: ContainerMetadata['container'];
  readonly image: ImageSpec;
}

/** containerd's and CRI-O's limit of a label's key and value together. */
const LABEL_BYTES_MAX = 4_096;

/** @throws CodedError `ERR_REQUEST_INVALID`, `ERR_NOT_IMPLEMENTED` */
export function checkContainerRequest({config}: CreateContainerRequest): CheckedContainer {
  const {metadata, image, labels = {}} = config ?? {};
  if (!config) throw missing('config');
  if (!metadata || metadata.name === '') throw missing('config.metadata.name');
  if (!image || image.image === '') throw missing('config.image.image');
  for (const [key, value] of Object.entries(labels)) {
    if (Buffer.byteLength(key) + Buffer.byteLength(value) > LABEL_BYTES_MAX) {
      throw invalidRequest(
        `label ${key.slice(0, 64)} has more than ${LABEL_BYTES_MAX} bytes with its value`,
        'keep long texts in annotations',
      );
    }
  }
  refuseCdiDevices(config);
  return {config, image, metadata: {name: metadata.name, attempt: metadata.attempt}};
}

/**
 * The log of a container, below its sandbox's log folder; empty when the sandbox has none.
 *
 * @throws CodedError `ERR_REQUEST_INVALID` for a path that leads out of the folder
 */
export function containerLogPath(
  logDirectory: string,
  {id, logPath}: {readonly id: string; readonly logPath: string},
): string {
  if (logDirectory === '') return '';
  const path = normalize(logPath === '' ? `${id}.log` : logPath);
  if (isAbsolute(path) || path === '..' || path.startsWith('../') || path.endsWith('/')) {
    throw invalidRequest(
      `log_path ${JSON.stringify(logPath)} is not below the pod's log_directory`,
      'give a relative path without ".."',
    );
  }
  return join(logDirectory, path);
}

function missing(field: string): Error {
  return invalidRequest(`${field} is empty`, 'fill it in');
}
