/**
 * Loaded before the program (`node --import`): Node keeps what it made of each module, types
 * stripped and compiled, so that the next start has not to do it again. In a folder that goes with
 * the packages; where it cannot be written, programs start as without it. In JavaScript, since
 * nothing else of a start needs Node's stripper of types then.
 */
import {enableCompileCache} from 'node:module';
import {join} from 'node:path';

enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/compile'));
