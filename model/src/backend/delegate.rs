//! How a backend hands operations on to functions of its own.

/// Implements operations by the functions of the same name in a module. With `, by tensor`, the module's
/// `applies` is asked whether it can take that tensor; if not, the portable operation runs.
macro_rules! delegate {
    ($native:ident;) => {};
    (
        $native:ident;
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty;
        $($rest:tt)*
    ) => {
        fn $name($($argument: $type),*) -> $output {
            $native::$name::<Self>($($argument),*)
        }
        delegate! { $native; $($rest)* }
    };
    (
        $native:ident;
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty, by $deciding:expr;
        $($rest:tt)*
    ) => {
        fn $name($($argument: $type),*) -> $output {
            if $native::applies::<Self>(&$deciding) {
                $native::$name::<Self>($($argument),*)
            } else {
                portable::$name::<Self>($($argument),*)
            }
        }
        delegate! { $native; $($rest)* }
    };
}
pub(super) use delegate;
