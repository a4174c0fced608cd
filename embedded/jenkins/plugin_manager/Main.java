package io.jenkins.tools.pluginmanager.cli;

/** The plugin manager as the command line calls it. */
public final class Main {
    private Main() {
    }

    public static void main(String[] arguments) {
        Options options = null;
        try {
            options = new Options(arguments);
            if (options.showVersion) {
                System.out.println(Main.class.getPackage().getImplementationVersion());
            } else if (arguments.length == 0 || options.help) {
                System.out.println(Options.USAGE);
            } else {
                new PluginManager(options).start();
            }
        } catch (Exception error) {
            if (options == null) {
                System.err.println(Options.USAGE);
            } else if (options.verbose) {
                error.printStackTrace();
            }
            System.err.println(error.getMessage());
            System.exit(1);
        }
    }
}
