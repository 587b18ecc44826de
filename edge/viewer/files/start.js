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
    // Whose images they are is read without asking for it.
    showPatientInfo: "visible",
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
        words.studies && link(react.createElement, words.studies, () => "/studies"),
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

// Views of arrays, as ndarray makes them. Its own are put together as text while it runs, which no
// page of the box may do; where OHIF's copies of it are changed stands in edge/viewer/package.py.
window.edgeViews = (() => {
  const kinds = {};

  // `number` is how many dimensions there are; -1 is a view of nothing.
  return (dtype, number, constructors) => {
    const key = `${dtype} ${number}`;
    const generic = dtype === "generic";
    const dimensions = Array.from({ length: Math.max(number, 0) }, (_, one) => one);
    const isPlace = (one) => typeof one === "number" && one >= 0;

    class View {
      constructor(data, shape = [], stride = [], offset = 0) {
        this.data = data;
        this.shape = shape;
        this.stride = stride;
        this.offset = offset | 0;
      }

      get size() {
        return number < 0 ? 0 : this.shape.reduce((product, one) => product * one, 1);
      }

      get order() {
        return [...dimensions].sort(
          (a, b) => Math.abs(this.stride[a]) - Math.abs(this.stride[b]));
      }

      index(...places) {
        return number < 0 ? -1 : dimensions.reduce(
          (at, one) => at + this.stride[one] * places[one], this.offset);
      }

      get(...places) {
        if (number < 0) { return undefined; }
        const at = this.index(...places);
        return generic ? this.data.get(at) : this.data[at];
      }

      set(...places) {
        if (number < 0) { return undefined; }
        const value = places[number];
        const at = this.index(...places);
        return generic ? this.data.set(at, value) : (this.data[at] = value);
      }

      valueOf() {
        return number === 0 ? this.get() : this;
      }

      hi(...places) {
        const shape = this.shape.map((one, at) => isPlace(places[at]) ? places[at] | 0 : one);
        return new View(this.data, shape, [...this.stride], this.offset);
      }

      lo(...places) {
        const shape = [...this.shape];
        let offset = this.offset;
        for (const one of dimensions) {
          if (isPlace(places[one])) {
            const by = places[one] | 0;
            offset += this.stride[one] * by;
            shape[one] -= by;
          }
        }
        return new View(this.data, shape, [...this.stride], offset);
      }

      step(...places) {
        const shape = [...this.shape];
        const stride = [...this.stride];
        let offset = this.offset;
        for (const one of dimensions) {
          if (typeof places[one] === "number") {
            const by = places[one] | 0;
            if (by < 0) {
              offset += stride[one] * (shape[one] - 1);
            }
            shape[one] = Math.ceil(shape[one] / Math.abs(by));
            stride[one] *= by;
          }
        }
        return new View(this.data, shape, stride, offset);
      }

      transpose(...places) {
        const order = dimensions.map((one) => places[one] === undefined ? one : places[one] | 0);
        return new View(
          this.data, order.map((one) => this.shape[one]),
          order.map((one) => this.stride[one]), this.offset);
      }

      pick(...places) {
        if (number < 0) { return null; }
        const shape = [];
        const stride = [];
        let offset = this.offset;
        for (const one of dimensions) {
          if (isPlace(places[one])) {
            offset = (offset + this.stride[one] * places[one]) | 0;
          } else {
            shape.push(this.shape[one]);
            stride.push(this.stride[one]);
          }
        }
        // The list begins with the one of -1 dimensions.
        return constructors[shape.length + 1](this.data, shape, stride, offset);
      }
    }
    Object.assign(View.prototype, { dtype, dimension: number });
    kinds[key] ??= (data, shape, stride, offset) => new View(data, shape, stride, offset);
    return kinds[key];
  };
})();
