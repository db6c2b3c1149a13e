/**
 * Loaded before the program (`node --import`): Node keeps what it made of each module, types
 * stripped and compiled, so that the next start has not to do it again. In a folder that goes with
 * the packages; where it cannot be written, programs start as without it.
 */
import {enableCompileCache} from 'node:module';
import {fileURLToPath} from 'node:url';

enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/compile', import.meta.url)));
