// VitePress's own theme, with room for our tables.
import theme from 'vitepress/theme';

import './tables.css';

export default theme;
