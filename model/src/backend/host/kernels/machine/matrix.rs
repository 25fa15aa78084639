//! The operands of a matrix product, as they lie in memory.

use super::elements::Elements;

/// A read-only matrix with strides: element (i, j) is `data[i·row_stride + j·column_stride]`, and one stride
/// is 1.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

/// A right operand: element (p, j) is number `p·row_stride + j·column_stride` of its elements, and one stride
/// is 1.
#[derive(Clone, Copy)]
pub(crate) struct RightView<'a> {
    pub(crate) elements: Elements<'a>,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a> RightView<'a> {
    /// A row-major matrix with rows of `columns` elements.
    pub(crate) fn rows(elements: &'a [f32], columns: usize) -> Self {
        Self { elements: elements.into(), row_stride: columns, column_stride: 1 }
    }

    /// The transpose of a row-major matrix with rows of `columns` elements; a scale belongs to a row of it.
    pub(crate) fn transposed(elements: impl Into<Elements<'a>>, columns: usize) -> Self {
        Self { elements: elements.into(), row_stride: 1, column_stride: columns }
    }

    pub(super) fn check(&self, rows: usize, columns: usize) {
        check(self.elements.len(), rows, columns, self.row_stride, self.column_stride);
    }
}

/// Whether `len` elements hold a matrix with these strides.
fn check(len: usize, rows: usize, columns: usize, row_stride: usize, column_stride: usize) {
    let needed = if rows == 0 || columns == 0 {
        0
    } else {
        (rows - 1) * row_stride + (columns - 1) * column_stride + 1
    };
    assert!(len >= needed, "matrix of {rows}x{columns} needs {needed} elements, has {len}");
}

impl<'a> View<'a> {
    /// A row-major matrix with rows of `columns` elements.
    pub(crate) fn rows(data: &'a [f32], columns: usize) -> Self {
        Self { data, row_stride: columns, column_stride: 1 }
    }

    /// The transpose of a row-major matrix with rows of `columns` elements.
    pub(crate) fn transposed(data: &'a [f32], columns: usize) -> Self {
        Self { data, row_stride: 1, column_stride: columns }
    }

    pub(super) fn check(&self, rows: usize, columns: usize) {
        check(self.data.len(), rows, columns, self.row_stride, self.column_stride);
    }
}
