// Bokeh draws the map by WebGL, which without a GPU takes five times as long as a plain canvas. Refused a context, it
// takes that.
const {getContext} = HTMLCanvasElement.prototype
HTMLCanvasElement.prototype.getContext = function (kind, options) {
  const more = kind.startsWith("webgl") ? {failIfMajorPerformanceCaveat: true} : {}
  return getContext.call(this, kind, {...options, ...more})
}
