// The geometry of a resize (src/kernel/resize.rs).

struct Resize {
    in_h: u32,
    in_w: u32,
    out_h: u32,
    out_w: u32,
    channels: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
    elements: u32,
}

@group(0) @binding(3) var<storage, read> shape: Resize;

// Image, output row, output column and channel of an output element.
fn place_of(element: u32) -> vec4<u32> {
    let pixel = element / shape.channels;
    let image = pixel / (shape.out_w * shape.out_h);
    return vec4<u32>(image, pixel / shape.out_w % shape.out_h, pixel % shape.out_w, element % shape.channels);
}

// Element of the input.
fn input_at(place: vec4<u32>, y: u32, x: u32) -> u32 {
    return ((place.x * shape.in_h + y) * shape.in_w + x) * shape.channels + place.w;
}
