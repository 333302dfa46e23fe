// Work in progress, kept in the browser: it is there again after a reload, or when the server was away.
const STORE = 'work';

function database() {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open('protoseg', 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
}

async function inStore(mode, work) {
  const opened = await database();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = opened.transaction(STORE, mode);
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = () => reject(transaction.error);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    opened.close();
  }
}

function through(voxels, stream) {
  return new Response(new Blob([voxels]).stream().pipeThrough(stream));
}

// Keeps a state, in which `voxels` is a label map, under a series.
export async function keep(series, state) {
  const voxels = await through(state.voxels, new CompressionStream('gzip')).arrayBuffer();
  await inStore('readwrite', store => store.put({ ...state, voxels }, series));
}

// What was kept under a series, or null.
export async function kept(series) {
  const state = await inStore('readonly', store => store.get(series));
  if (!state) return null;
  const voxels = await through(state.voxels, new DecompressionStream('gzip')).arrayBuffer();
  return { ...state, voxels: new Uint8Array(voxels) };
}
