// The geometry of a pool (src/kernel/pool.rs).

struct Pool {
    batch: u32,
    in_h: u32,
    in_w: u32,
    channels: u32,
    out_h: u32,
    out_w: u32,
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_top: u32,
    pad_left: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
    elements: u32,
}

@group(0) @binding(3) var<storage, read> shape: Pool;

// What output element `element` sees: its channel in image `image`, rows x to y, columns z to w.
struct View {
    image: u32,
    channel: u32,
    top: u32,
    bottom: u32,
    left: u32,
    right: u32,
}

fn view_of(element: u32) -> View {
    let channel = element % shape.channels;
    let pixel = element / shape.channels;
    let out_x = pixel % shape.out_w;
    let out_y = pixel / shape.out_w % shape.out_h;
    let image = pixel / (shape.out_w * shape.out_h);
    let y = i32(out_y * shape.stride_h) - i32(shape.pad_top);
    let x = i32(out_x * shape.stride_w) - i32(shape.pad_left);
    return View(
        image,
        channel,
        u32(max(y, 0)),
        u32(min(y + i32(shape.k_h), i32(shape.in_h))),
        u32(max(x, 0)),
        u32(min(x + i32(shape.k_w), i32(shape.in_w))),
    );
}

// Element of the input.
fn input_at(view: View, y: u32, x: u32) -> u32 {
    return ((view.image * shape.in_h + y) * shape.in_w + x) * shape.channels + view.channel;
}

fn count_of(view: View) -> u32 {
    return (view.bottom - view.top) * (view.right - view.left);
}
