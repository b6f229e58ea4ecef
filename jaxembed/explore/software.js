// Bokeh draws the map by WebGL, which without a GPU takes five times as long as a plain canvas: refused, it takes that.
const isSlow = () => {
  const gl = document.createElement("canvas").getContext("webgl"), about = gl?.getExtension("WEBGL_debug_renderer_info")
  return about && /swiftshader|llvmpipe|software|basic render/i.test(gl.getParameter(about.UNMASKED_RENDERER_WEBGL))
}
if (isSlow()) {
  const {getContext} = HTMLCanvasElement.prototype
  HTMLCanvasElement.prototype.getContext = function (kind, ...options) {
    return kind.startsWith("webgl") ? null : getContext.call(this, kind, ...options)
  }
}
