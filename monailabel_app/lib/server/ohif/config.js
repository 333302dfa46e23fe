// Runs before the viewer: tells it of protoseg's mode and panel, and MONAI Label's own panel where the server is.
document.cookie = `MONAILABEL_SERVER_URL=${escape(`${window.location.origin}/`)}`;
window.config.extensions.push('/ohif/protoseg/extension.js');
window.config.modes.push('/ohif/protoseg/mode.js');
