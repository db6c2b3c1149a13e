import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {loadTemplates, type Render} from '#provisioner/template/templates';
import {temporaryFolder} from '#test/temporary-folder';

async function templatesOf(files: Readonly<Record<string, string>>): Promise<Render> {
  await using folder = await temporaryFolder();
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(folder.path, name, '..'), {recursive: true});
    await writeFile(join(folder.path, name), text);
  }
  return await loadTemplates(folder.path);
}

test('a template is found by its folder and name, and nothing is escaped', async t => {
  const render = await templatesOf({'os/a.hbs': `x = "{{value}}"\n`, 'os/readme.txt': '{{no}}'});
  t.is(render('os/a', {value: `<'&">`}), `x = "<'&">"\n`);
});

test('a value that a template names and nobody gives is an error', async t => {
  const render = await templatesOf({
    'a.hbs': '{{value}}',
    'b.hbs': '{{#each list}}{{this.x}}{{/each}}',
  });
  t.throws(() => render('a', {}), {message: /^templates\/a\.hbs: "value" not defined/});
  t.throws(() => render('b', {list: [{}]}));
});

test('a template that does not exist is a defect of ours', async t => {
  const render = await templatesOf({});
  t.throws(() => render('a', {}), {instanceOf: TypeError});
});

test('a template of more than 64 KiB is refused', async t => {
  await t.throwsAsync(templatesOf({'a.hbs': 'x'.repeat(65_537)}), {instanceOf: TypeError});
});
