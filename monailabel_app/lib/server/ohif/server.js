// Requests to the app.
const CLIENT = crypto.randomUUID ? crypto.randomUUID() : `${Date.now()}-${Math.random()}`;

// The server cannot be reached, or has not started again yet: worth another try.
export class Unreachable extends Error {}

// Someone else submitted a label of the study meanwhile.
export class Outrun extends Error {}

export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Unreachable('The server cannot be reached.');
  }
  if (response.ok) return response;
  const text = await response.text();
  let detail;
  try {
    detail = JSON.parse(text).detail;
  } catch (error) {
    detail = null; // of a proxy, as HTML
  }
  const message = typeof detail === 'string' ? detail : `The server answered ${response.status}.`;
  if (response.status === 409) throw new Outrun(message);
  throw [502, 503].includes(response.status) ? new Unreachable(message) : new Error(message);
}

export async function askJson(path, options = {}) {
  return (await ask(path, options)).json();
}

// Lets a model segment a series: the label map's voxels, and what is known of each label.
export async function infer(model, series, params, signal) {
  const form = new FormData();
  const format = { result_extension: '.nrrd', result_dtype: 'uint8', result_compress: false };
  form.append('params', JSON.stringify({ ...format, client_id: CLIENT, ...params }));
  const response = await ask(`/infer/${model}?image=${encodeURIComponent(series)}&output=all`, { method: 'POST', body: form, signal });
  const parts = await response.formData();
  const file = new Uint8Array(await parts.get('image').arrayBuffer());
  return { voxels: file.subarray(headerLength(file)), labels: JSON.parse(parts.get('params')).labels };
}

// Of an NRRD file, whose header ends at an empty line.
function headerLength(file) {
  for (let i = 1; i < file.length; i += 1) if (file[i] === 10 && file[i - 1] === 10) return i + 1;
  throw new Error('The answer is no NRRD file.');
}

// The label of a series that is stored, { version, by, at, labels, values }, or null.
export async function presentVersion(series) {
  const { versions } = await askJson(`/sessions/submits?image=${encodeURIComponent(series)}`);
  return versions.find(({ state }) => state === 'current') ?? null;
}

// The voxels of a stored label.
export async function versionVoxels(series, version) {
  const response = await ask(`/sessions/submits/${version}/voxels?image=${encodeURIComponent(series)}`);
  return new Uint8Array(await response.arrayBuffer());
}

// Series whose labels can be carried to a series, [{ source, description, kind, label }, ...].
export async function carrySources(series) {
  return (await askJson(`/sessions/carried?image=${encodeURIComponent(series)}`)).sources;
}

// The voxels of another series' label on those of a series.
export async function carriedVoxels(series, source) {
  const response = await ask(`/sessions/carried/voxels?image=${encodeURIComponent(series)}&source=${encodeURIComponent(source)}`);
  return new Uint8Array(await response.arrayBuffer());
}

// Stores a label map that was drawn on a version; by force, also where another came between.
export async function submit(series, voxels, names, drawnOn, force) {
  const form = new FormData();
  form.append('params', JSON.stringify({ label_info: names, drawn_on: drawnOn, force }));
  form.append('label', new Blob([voxels]), 'labels.bin');
  return askJson(`/datastore/label?image=${encodeURIComponent(series)}`, { method: 'PUT', body: form });
}

// Names that can be clicked on, with their colors where the server knows them, and what the user may do.
export async function serverState() {
  const [info, status] = await Promise.all([askJson('/info/'), askJson('/status/')]);
  const colors = Object.fromEntries(status.labels.map(label => [label.name, label.color]));
  const clickable = Object.keys(info.models.oneshot_click.labels);
  const named = status.labels.length > 0 || clickable.join() !== 'structure'; // else that is but a stand-in
  return { labels: (named ? clickable : []).map(name => ({ name, color: colors[name] })), roles: status.roles };
}
