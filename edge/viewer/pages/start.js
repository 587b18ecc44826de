// What OHIF finds before it starts: where it is, and that this box is all there is.
// Stands before OHIF's own script, as a file: the policy of its page lets no inline script run.
"use strict";

// Without it, a page that was loaded before stays blank now and then.
window.__filename = window.__filename || "/viewer/";
window.PUBLIC_URL = "/viewer/";
// OHIF ends it, and warns if nobody began it.
console.time("scriptToView");
// OHIF calls it by this name.
window.browserImportFunction = (name) => import(name);

(() => {
  const words = document.documentElement.dataset;

  const link = (create, text, address) =>
    create("a", { className: "edge-link", onClick: (event) => {
      // Around it, OHIF has a way back to a list of its own.
      event.stopPropagation();
      location.assign(address());
    } }, text);

  const plainAddress = () => {
    const study = new URLSearchParams(location.search).get("StudyInstanceUIDs") || "";
    return "/viewer/plain?study=" + encodeURIComponent(study);
  };

  window.config = {
    name: "config/edge.js",
    routerBasename: "/viewer",
    extensions: [],
    modes: [],
    customizationService: { "ohif.tours": { $set: [] } },
    showStudyList: true,
    maxNumberOfWebWorkers: Math.max(1, Math.min(3, (navigator.hardwareConcurrency || 2) - 1)),
    showWarningMessageForCrossOrigin: false,
    showCPUFallbackMessage: false,
    showLoadingIndicator: true,
    strictZSpacingForVolumeViewport: true,
    groupEnabledModesFirst: true,
    showErrorDetails: "production",
    // Its own look whether a browser has WebGL finds less than there is.
    useCPURendering: !document.createElement("canvas").getContext("webgl2"),
    maxNumRequests: { interaction: 20, thumbnail: 6, prefetch: 6 },
    whiteLabeling: {
      createLogoComponentFn: (react) => react.createElement(
        "span", { className: "edge-links" },
        link(react.createElement, words.studies, () => "/"),
        location.pathname.startsWith("/viewer/viewer") &&
          link(react.createElement, words.plain, plainAddress),
      ),
    },
    defaultDataSourceName: "edge",
    dataSources: [{
      namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
      sourceName: "edge",
      configuration: {
        friendlyName: "edge",
        name: "edge",
        qidoRoot: "/dicom-web",
        wadoRoot: "/dicom-web",
        wadoUriRoot: "/dicom-web",
        qidoSupportsIncludeField: true,
        supportsWildcard: true,
        supportsFuzzyMatching: false,
        supportsReject: false,
        imageRendering: "wadors",
        thumbnailRendering: "wadors",
        enableStudyLazyLoad: true,
        singlepart: "bulkdata,video,pdf",
        bulkDataURI: { enabled: true, relativeResolution: "studies" },
        omitQuotationForMultipartRequest: true,
      },
    }],
    httpErrorHandler: (error) => {
      // The session is over: whoever asks for the page again is led to the log-in, and back.
      if (error && error.status === 401) {
        location.reload();
      }
    },
  };
})();
