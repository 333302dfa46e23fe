// The viewer's panel takes the server's address from this cookie.
document.cookie = `MONAILABEL_SERVER_URL=${escape(`${window.location.origin}/`)}`;

async function submitLabels(button) {
  const { segmentationService, viewportGridService, displaySetService, uiNotificationService } = window.services;
  const { viewports, activeViewportId } = viewportGridService.getState();
  const shown = viewports.get(activeViewportId).displaySetInstanceUIDs[0];
  const series = displaySetService.getDisplaySetByUID(shown).SeriesInstanceUID;
  const voxels = segmentationService.getLabelmapVolume('1').voxelManager.getCompleteScalarDataArray();
  const used = new Set(voxels);
  const segments = Object.values(segmentationService.getSegmentation('1').segments);
  const named = segments.filter(s => used.has(s.segmentIndex)).map(s => ({ name: s.label, idx: s.segmentIndex }));

  const form = new FormData();
  form.append('params', JSON.stringify({ label_info: named }));
  form.append('label', new Blob([Uint8Array.from(voxels)]), 'labels.bin');
  button.disabled = true;
  try {
    const response = await fetch(`/datastore/label?image=${series}`, { method: 'PUT', body: form });
    const answer = await response.json();
    uiNotificationService.show({
      title: 'Submit label',
      message: response.ok ? `Stored: ${named.map(s => s.name).join(', ')}` : answer.detail,
      type: response.ok ? 'success' : 'error',
      duration: response.ok ? 3000 : 10000,
    });
  } finally {
    button.disabled = false;
  }
}

// The panel is drawn anew by the viewer at its own times.
setInterval(() => {
  const tabs = document.querySelector('.monaiLabelPanel .tabs');
  if (!tabs || document.getElementById('submit-label')) {
    return;
  }
  const button = document.createElement('button');
  button.id = 'submit-label';
  button.className = 'actionButton';
  button.textContent = 'Submit label';
  button.title = 'Store the label map as DICOM SEG; it is what other studies are segmented by from now on';
  button.style = 'width: 100%; margin: 8px 0; padding: 6px';
  button.onclick = () => submitLabels(button);
  tabs.before(button);
}, 500);
