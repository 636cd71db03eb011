// The map of alerts and visits: territory, cities of discovery and points, drawn on one canvas.
import L from "leaflet";

const element = document.getElementById("map");
const MOST_LABELS = 3;
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function styles() {
  return {
    country: { color: colour("map-border"), weight: 1, fillColor: colour("map-land"), fillOpacity: 1 },
    territory: { color: colour("accent"), weight: 1.5, fillColor: colour("accent"), fillOpacity: 0.28 },
    destination: { color: colour("act"), weight: 2, fillColor: colour("act"), fillOpacity: 0.14 },
    other: { color: colour("accent"), weight: 1, fillColor: colour("accent"), fillOpacity: 0.22 },
    scan: { color: colour("surface"), weight: 1, fillColor: colour("act"), fillOpacity: 0.9 },
    accuracy: { color: colour("act"), weight: 1, opacity: 0.7, fillColor: colour("act"), fillOpacity: 0.12 },
    route: { color: colour("accent"), weight: 3, opacity: 0.9 },
    path: { color: colour("ink"), weight: 1.5, opacity: 0.7, dashArray: "6 6" },
  };
}

async function load(url) {
  const response = await fetch(url, { headers: { Accept: "application/geo+json" } });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
}

function withRole(collection, role) {
  return { type: "FeatureCollection", features: collection.features.filter((each) => each.properties.role === role) };
}

function label(layer, feature, className) {
  const name = element.dataset.language === "zh" ? feature.properties.name : feature.properties.name_en;
  layer.bindTooltip(name, { permanent: true, direction: "top", className, offset: [0, -4] });
}

function scanLayers(map, features, style) {
  const circles = features.map(({ geometry, properties }) => {
    const at = [geometry.coordinates[1], geometry.coordinates[0]];
    const parts = [L.circleMarker(at, { radius: 4.5, ...style.scan })];
    if (properties.accuracy_m) parts.unshift(L.circle(at, { radius: properties.accuracy_m, ...style.accuracy }));
    return parts;
  });
  return L.featureGroup(circles.flat()).addTo(map);
}

function draw(map, country, found) {
  const style = styles();
  L.geoJSON(country, { style: style.country, interactive: false }).addTo(map);
  const allowed = withRole(found, "territory");
  const territory = L.geoJSON(allowed, {
    style: style.territory,
    interactive: false,
    onEachFeature: (feature, layer) => {
      if (allowed.features.length <= MOST_LABELS) label(layer, feature, "map-label map-label-calm");
    },
  }).addTo(map);
  L.geoJSON(withRole(found, "other"), { style: style.other, interactive: false }).addTo(map);
  const destination = L.geoJSON(withRole(found, "destination"), {
    style: style.destination,
    interactive: false,
    onEachFeature: (feature, layer) => label(layer, feature, "map-label"),
  }).addTo(map);
  const routes = L.geoJSON(withRole(found, "route"), { style: style.route, interactive: false }).addTo(map);
  L.geoJSON(withRole(found, "detour"), { style: style.path, interactive: false }).addTo(map);
  const scans = scanLayers(map, withRole(found, "scan").features, style);
  if (territory.getLayers().length && destination.getLayers().length) {
    const ends = [territory.getBounds().getCenter(), destination.getBounds().getCenter()];
    L.polyline(ends, { ...style.path, interactive: false }).addTo(map);
  }
  return { territory, destination, routes, scans };
}

function zooms(map, parts) {
  const box = (layers) =>
    layers.filter((each) => each.getLayers().length).reduce((all, each) => all.extend(each.getBounds()), L.latLngBounds([]));
  const show = {
    all: box([parts.territory, parts.destination, parts.routes, parts.scans]),
    near: box([parts.scans.getLayers().length ? parts.scans : parts.destination]),
  };
  const fit = (name, animate) => {
    if (show[name].isValid()) map.fitBounds(show[name], { paddingTopLeft: [76, 44], paddingBottomRight: [28, 28], maxZoom: 12, animate });
  };
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => fit(button.dataset.zoom, !matchMedia("(prefers-reduced-motion: reduce)").matches));
  }
  fit("all", false);
}

async function start() {
  const map = L.map(element, { preferCanvas: true, zoomSnap: 0.25, minZoom: 2, maxZoom: 14, attributionControl: false });
  L.control.attribution({ prefix: false }).addAttribution(element.dataset.credit).addTo(map);
  map.setView([35, 104], 4);
  const [country, found] = await Promise.all([load(element.dataset.base), load(element.dataset.alert)]);
  let layers = L.layerGroup().addTo(map);
  zooms(map, draw(layers, country, found));
  dark.addEventListener("change", () => {
    layers.remove();
    layers = L.layerGroup().addTo(map);
    draw(layers, country, found);
  });
  element.dataset.drawn = "true";
}

if (element) {
  start().catch((error) => {
    console.error(error);
    delete element.dataset.loading;
    element.textContent = element.dataset.failed;
  });
}
