// The windows of a convolution that is a matrix product: rows are output pixels of all samples, columns the output
// channels of one group, the sum runs over k = (tap, channel) with the channels of a tap padded to a multiple of 4. The
// importing shader declares `params`.
#import shared/run

// Where the window of an output pixel starts: its row, its column, its first element.
fn window(row: u32, group: u32) -> vec3<i32> {
    let sample = row / params.pixels;
    let pixel = row % params.pixels;
    let line = pixel / params.out_w;
    let image = line / params.out_h;
    let y = bitcast<i32>((line % params.out_h) * params.stride_h - params.pad_top);
    let x = bitcast<i32>((pixel % params.out_w) * params.stride_w - params.pad_left);
    let position = bitcast<i32>(image * params.in_h * params.in_w) + y * bitcast<i32>(params.in_w) + x;
    let start = position * bitcast<i32>(params.in_c);
    return vec3<i32>(y, x, start + bitcast<i32>(sample * params.in_stride + group * params.group_in));
}
